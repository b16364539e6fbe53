/** Keeps what it hears, block by block, so that a test can compare it with what should have sounded. */
class Recorder extends AudioWorkletProcessor {
  constructor() {
    super();
    this.blocks = [];
    this.port.onmessage = () => this.port.postMessage(this.blocks);
  }

  process([[channel]]) {
    this.blocks.push(channel ? channel.slice() : new Float32Array(128));
    return true;
  }
}

registerProcessor("recorder", Recorder);
