/** Something that is on or off, and what that means. */

import type { JSX } from "preact"
import { useId } from "preact/hooks"

interface SwitchProps {
  readonly label: string
  readonly hint: string
  readonly isOn: boolean
  readonly disabled?: boolean
  readonly onChange: (isOn: boolean) => void
}

export function Switch({ label, hint, isOn, disabled = false, onChange }: SwitchProps): JSX.Element {
  const id = useId()
  return (
    <div class="setting switch">
      <div>
        <label for={id}>{label}</label>
        <p id={`${id}-hint`} class="small soft">{hint}</p>
      </div>
      <input
        id={id}
        type="checkbox"
        role="switch"
        checked={isOn}
        disabled={disabled}
        aria-describedby={`${id}-hint`}
        onChange={(event) => { onChange(event.currentTarget.checked) }}
      />
    </div>
  )
}
