/** The pattern of an address, as a picture. */

import { useMemo } from "preact/hooks"
import type { JSX } from "preact"
import { CELLS, patternOf } from "../models/avatar"

const EDGE = 1.5 // cells around the pattern, so that its corners lie inside the disc

interface Props {
  readonly address: string
  readonly size: "small" | "medium" | "large" | "huge"
}

/** The picture stands beside a name or an id, so it says nothing to a screen reader. */
export function Avatar({ address, size }: Props): JSX.Element {
  const { hue, path } = useMemo(() => patternOf(address), [address])
  const side = CELLS + 2 * EDGE
  return (
    <svg class={`avatar ${size} hue-${hue}`} viewBox={`${-EDGE} ${-EDGE} ${side} ${side}`} aria-hidden="true">
      <circle class="ground" cx={CELLS / 2} cy={CELLS / 2} r={side / 2} />
      <path class="figure" d={path} />
    </svg>
  )
}
