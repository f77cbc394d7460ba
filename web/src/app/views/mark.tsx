/** The sign of Halonyx: a ring of light around a closed core. */

import type { JSX } from "preact"

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 48 48" aria-hidden="true">
      <path class="halo" d="M24 4a20 20 0 1 1-14.14 5.86" />
      <circle class="core" cx="24" cy="24" r="9" />
    </svg>
  )
}
