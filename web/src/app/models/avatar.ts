/**
 * The pattern of an address: six by six cells, mirrored left to right and top to bottom, in two tones of one hue.
 *
 * A picture to recognise someone by, never proof of who they are: that is the safety number.
 */

export const CELLS = 6
const HALF = CELLS / 2
const HUES = 12
const SHAPES = 8

export interface Pattern {
  /** 0 to 11; its two tones are in avatar.css. */
  readonly hue: number
  /** SVG path in a square of CELLS. */
  readonly path: string
}

/**
 * Draw the pattern of an address.
 *
 * @param address 64 hexadecimal digits.
 */
export function patternOf(address: string): Pattern {
  const bytes = (address.match(/../g) ?? []).map((pair) => parseInt(pair, 16))
  const byte = (at: number): number => bytes[at] ?? 0
  let path = ""
  for (let row = 0; row < HALF; row++) {
    for (let column = 0; column < HALF; column++) {
      const shape = byte(1 + row * HALF + column) % SHAPES
      for (const right of [false, true]) {
        for (const lower of [false, true]) path += cell(shape, column, row, right, lower)
      }
    }
  }
  return { hue: byte(0) % HUES, path: path === "" ? cell(2, 1, 1, false, false) : path }
}

/** The first 16 digits of an address in groups of four: too many for anyone to find a second one. */
export function shortId(address: string): string {
  return (address.slice(0, 16).match(/.{1,4}/g) ?? []).join(" ")
}

/** One cell of the upper left quarter, mirrored into the quarter asked for. */
function cell(shape: number, column: number, row: number, right: boolean, lower: boolean): string {
  const x = (part: number): number => (right ? CELLS - column - part : column + part)
  const y = (part: number): number => (lower ? CELLS - row - part : row + part)
  const at = (across: number, down: number): string => `${x(across)} ${y(down)}`
  const turn = right === lower ? 1 : 0
  switch (shape) {
    case 0:
    case 1:
      return ""
    case 2:
      return `M${at(0, 0)}L${at(1, 0)}L${at(1, 1)}L${at(0, 1)}Z`
    case 3: // quarter disc around the cell's inner corner
      return `M${at(1, 1)}L${at(0, 1)}A1 1 0 0 ${turn} ${at(1, 0)}Z`
    case 4: // quarter disc around its outer corner
      return `M${at(0, 0)}L${at(1, 0)}A1 1 0 0 ${turn} ${at(0, 1)}Z`
    case 5:
      return `M${at(0, 1)}L${at(1, 0)}L${at(1, 1)}Z`
    case 6:
      return `M${at(0, 0)}L${at(1, 0)}L${at(0, 1)}Z`
    default: // a dot
      return `M${at(0.15, 0.5)}A0.35 0.35 0 1 0 ${at(0.85, 0.5)}A0.35 0.35 0 1 0 ${at(0.15, 0.5)}Z`
  }
}
