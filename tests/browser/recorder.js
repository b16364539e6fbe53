/** Keeps what it hears, block by block, so that a test can compare it with what should have sounded. */
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.first = -1; // frame of the audio clock at which it began
    this.port.onmessage = () => this.port.postMessage({ first: this.first, blocks: this.blocks });
  }

  process([[channel]]) {
    if (this.first < 0) this.first = currentFrame;
    this.blocks.push(channel ? channel.slice() : new Float32Array(128));
    return true;
  }
}

registerProcessor("recorder", Recorder);
