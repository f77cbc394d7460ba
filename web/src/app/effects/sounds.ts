/** Two short, soft tones, made with Web Audio: no file, nothing to load. */

const VOLUME = 0.05
const ATTACK_S = 0.012

let context: AudioContext | null = null

/** A message came: two notes upwards. */
export function playReceived(): void {
  play([
    { hertz: 587.33, atS: 0, lengthS: 0.16 },
    { hertz: 880, atS: 0.09, lengthS: 0.28 },
  ])
}

/** A message went: one low, short note. */
export function playSent(): void {
  play([{ hertz: 440, atS: 0, lengthS: 0.12 }])
}

interface Note {
  readonly hertz: number
  readonly atS: number
  readonly lengthS: number
}

function play(notes: readonly Note[]): void {
  try {
    context ??= new AudioContext()
    if (context.state === "suspended") void context.resume() // browsers wait for a first gesture
    for (const note of notes) sound(context, note)
  } catch {
    // no audio device: silence is fine
  }
}

function sound(audio: AudioContext, { hertz, atS, lengthS }: Note): void {
  const start = audio.currentTime + atS
  const tone = new OscillatorNode(audio, { type: "sine", frequency: hertz })
  const volume = new GainNode(audio, { gain: 0 })
  volume.gain.setValueAtTime(0, start)
  volume.gain.linearRampToValueAtTime(VOLUME, start + ATTACK_S)
  volume.gain.exponentialRampToValueAtTime(0.0001, start + lengthS)
  tone.connect(volume).connect(audio.destination)
  tone.start(start)
  tone.stop(start + lengthS)
}
