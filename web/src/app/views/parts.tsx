/** Small things that every screen uses. */

import { CircleAlert, Copy, type LucideIcon } from "lucide-preact"
import type { ComponentChildren, JSX, RefCallback } from "preact"
import { useCallback, useId } from "preact/hooks"
import { problemText } from "../text/problems"
import { text } from "../text/text"
import { useApp } from "./context"
import { useLongWait } from "./media"

interface ButtonProps {
  readonly children: ComponentChildren
  readonly kind?: "primary" | "plain" | "quiet" | "danger"
  readonly icon?: LucideIcon
  readonly onClick?: () => void
  readonly type?: "button" | "submit"
  readonly disabled?: boolean
}

export function Button(props: ButtonProps): JSX.Element {
  const { children, kind = "plain", icon: Icon, onClick, type = "button", disabled } = props
  return (
    <button class={`button ${kind}`} type={type} onClick={onClick} disabled={disabled}>
      {Icon && <Icon size={18} strokeWidth={1.75} />}
      <span>{children}</span>
    </button>
  )
}

interface IconButtonProps {
  readonly icon: LucideIcon
  readonly label: string
  readonly onClick: () => void
  readonly isPressed?: boolean
}

export function IconButton({ icon: Icon, label, onClick, isPressed }: IconButtonProps): JSX.Element {
  return (
    <button
      class="icon-button"
      type="button"
      aria-label={label}
      title={label}
      aria-pressed={isPressed}
      onClick={onClick}
    >
      <Icon size={20} strokeWidth={1.75} />
    </button>
  )
}

interface FieldProps {
  readonly label: string
  readonly hint?: string | undefined
  readonly problem?: string | null
  readonly value: string
  readonly onInput: (value: string) => void
  readonly placeholder?: string
  readonly isMono?: boolean
  readonly maxLength?: number
  readonly autoFocus?: boolean
  readonly rows?: number
}

/** A labelled field with a hint and, when something is wrong with it, what. */
export function Field(props: FieldProps): JSX.Element {
  const id = useId()
  const focused = useFocus(props.autoFocus === true)
  const note = props.problem ?? props.hint
  const input = (event: { readonly currentTarget: { readonly value: string } }): void => {
    props.onInput(event.currentTarget.value)
  }
  const shared = {
    id,
    class: `field ${props.isMono === true ? "mono" : ""}`,
    value: props.value,
    placeholder: props.placeholder,
    maxLength: props.maxLength,
    autoComplete: "off",
    spellcheck: false,
    "aria-invalid": typeof props.problem === "string",
    "aria-describedby": note === undefined ? undefined : `${id}-note`,
  } as const
  return (
    <div class="labelled">
      <label for={id}>{props.label}</label>
      {props.rows === undefined ? (
        <input {...shared} ref={focused} type="text" dir="auto" onInput={input} />
      ) : (
        <textarea {...shared} ref={focused} rows={props.rows} onInput={input} />
      )}
      {note !== undefined && (
        <p id={`${id}-note`} class={typeof props.problem === "string" ? "note bad" : "note"}>
          {typeof props.problem === "string" && <CircleAlert size={16} />}
          <span>{note}</span>
        </p>
      )}
    </div>
  )
}

/** Return a ref whose element gets the focus when it appears. */
export function useFocus(isWanted: boolean): RefCallback<HTMLElement> {
  return useCallback((element: HTMLElement | null) => {
    // After a dialog around it has opened.
    if (isWanted && element !== null) queueMicrotask(() => { element.focus() })
  }, [isWanted])
}

/** What went wrong with what was just tried, in a line. */
export function Mistake({ children }: { readonly children: ComponentChildren }): JSX.Element {
  return (
    <p class="note bad" role="alert">
      <CircleAlert size={16} />
      <span>{children}</span>
    </p>
  )
}

/** A thing that went wrong, with a way out. */
export function Trouble({ code, onRetry }: { readonly code: string; readonly onRetry?: () => void }): JSX.Element {
  return (
    <div class="trouble" role="alert">
      <CircleAlert size={20} />
      <p>{problemText(code)}</p>
      {onRetry && <Button onClick={onRetry}>{text.app.retry}</Button>}
    </div>
  )
}

interface EmptyProps {
  readonly icon: LucideIcon
  readonly title: string
  readonly children: ComponentChildren
  readonly actions?: ComponentChildren
  /** It is all there is on the page. */
  readonly isPage?: boolean
}

/** A screen without content, which teaches the next step. */
export function Empty({ icon: Icon, title, children, actions, isPage = false }: EmptyProps): JSX.Element {
  return (
    <div class="empty">
      <span class="empty-icon">
        <Icon size={26} strokeWidth={1.5} />
      </span>
      {isPage ? <h1>{title}</h1> : <h2>{title}</h2>}
      <p class="soft">{children}</p>
      {actions !== undefined && <div class="actions">{actions}</div>}
    </div>
  )
}

/** A value to copy, with the button for it. */
export function CopyLine({ label, value }: { readonly label: string; readonly value: string }): JSX.Element {
  const copy = useCopy()
  const id = useId()
  return (
    <div class="labelled">
      <label for={id}>{label}</label>
      <div class="copy-line">
        <input
          id={id}
          class="field mono"
          readOnly
          autoComplete="off" // else Chromium writes a card into its session files
          value={value}
          onFocus={(event) => { event.currentTarget.select() }}
        />
        <Button icon={Copy} onClick={() => { copy(value) }}>
          {text.app.copy}
        </Button>
      </div>
    </div>
  )
}

/** Return what copies a text and says so. */
export function useCopy(): (value: string) => void {
  const app = useApp()
  return (value) => {
    navigator.clipboard.writeText(value).then(
      () => { app.say(text.app.copied) },
      () => { app.say(text.app.notCopied, true) },
    )
  }
}

/** Grey bars where rows will be, once waiting has become noticeable; the room is kept from the start. */
export function Skeleton({ rows, label }: { readonly rows: number; readonly label: string }): JSX.Element {
  const isLong = useLongWait(true)
  return (
    <div class={isLong ? "skeleton shown" : "skeleton"} aria-busy="true">
      <p class="visually-hidden" role="status">{isLong ? label : ""}</p>
      {Array.from({ length: rows }, (_, row) => (
        <div key={row} class="skeleton-row" aria-hidden="true">
          <span class="skeleton-disc" />
          <span class="skeleton-bars" />
        </div>
      ))}
    </div>
  )
}
