/** Plays ?src=, if there is one, with hls.js as it comes, and writes down which tone is heard, and when. */
const audio = document.querySelector("#audio")
const hls = new Hls()
window.fatal = []
window.tones = [] // [Hz, s of the audio], one for each look
hls.on(Hls.Events.ERROR, (_, error) => error.fatal && window.fatal.push(error.details))
const src = new URLSearchParams(location.search).get("src")
if (src) hls.loadSource(src)
hls.attachMedia(audio)

document.querySelector("#play").addEventListener("click", () => {
  const context = new AudioContext()
  const analyser = new AnalyserNode(context, { fftSize: 4096, smoothingTimeConstant: 0 })
  context.createMediaElementSource(audio).connect(analyser).connect(context.destination)
  const bins = new Float32Array(analyser.frequencyBinCount)
  setInterval(() => {
    analyser.getFloatFrequencyData(bins)
    const top = bins.reduce((best, level, at) => (level > bins[best] ? at : best), 0)
    if (bins[top] > -50) window.tones.push([(top * context.sampleRate) / analyser.fftSize, audio.currentTime])
  }, 50)
  audio.play()
})
