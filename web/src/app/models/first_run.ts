/** Making an identity, or bringing one back: where a person without one is. */

import { computed, signal } from "@preact/signals"
import type { Api } from "../../client/api"
import type { ContactDetails } from "../../wire/rest_account"
import { codeOf } from "../text/problems"

export const CODE_GROUPS = 9
export const CODE_CHARACTERS = 36
const CLOSED = "sign-up-closed" // code

export type Step =
  | { readonly kind: "welcome" }
  | { readonly kind: "creating" }
  | { readonly kind: "recover" }
  | { readonly kind: "recovering" }
  /** The three steps; `groups` are the recovery code, `asked` the indexes of the two asked back. */
  | { readonly kind: "steps"; readonly groups: readonly string[]; readonly asked: readonly [number, number] }
  | { readonly kind: "done" }

export type Keeping = "shown" | "asked" | "kept"

export class FirstRun {
  readonly step = signal<Step>({ kind: "welcome" })
  readonly keeping = signal<Keeping>("shown")
  /** The relay chosen, and the one the server of this page offers. */
  readonly origin = signal("")
  readonly offered = signal("")
  /** What was typed, and whether the relay has said that it asks for one. */
  readonly invite = signal("")
  readonly asksInvite = signal(false)
  /** Name and e-mail address for the operator, and whether the relay has said that it asks for them. */
  readonly name = signal("")
  readonly email = signal("")
  readonly asksContact = signal(false)
  readonly problem = signal<string | null>(null)
  /** The relay does not take an identity that it doesn't have without more. */
  readonly isRefused = computed(() => this.asksInvite.value || this.asksContact.value || this.problem.value === CLOSED)
  /** Of the proof of work: how many tries there were, and how many are to be expected. */
  readonly progress = signal<{ readonly tried: number; readonly expected: number } | null>(null)

  readonly #api: Api
  readonly #random: (below: number) => number

  constructor(api: Api, random: (below: number) => number) {
    this.#api = api
    this.#random = random
    this.origin.subscribe(() => { this.#forgetRefusal() }) // another relay may ask for nothing
  }

  /** Offer a relay; what a person has typed meanwhile stays. */
  offer(origin: string): void {
    this.offered.value = origin
    if (this.origin.value === "") this.origin.value = origin
  }

  show(kind: "welcome" | "recover" | "done"): void {
    this.#forgetRefusal() // who signed up here before is asked for nothing
    this.step.value = { kind }
  }

  async create(): Promise<void> {
    await this.#tried("creating", "welcome", async () => {
      const { recoveryCode } = await this.#api.createAccount(this.origin.value, ...this.#given())
      this.keeping.value = "shown"
      return { kind: "steps", groups: recoveryCode.split("-"), asked: this.#twoGroups() }
    })
  }

  async recover(code: string): Promise<void> {
    await this.#tried("recovering", "recover", async () => {
      await this.#api.recoverAccount(this.origin.value, code, ...this.#given())
      return { kind: "done" }
    })
  }

  /** Go to the step that comes of it; or back, with what went wrong and fields for what the relay asks for. */
  async #tried(
    during: "creating" | "recovering",
    before: "welcome" | "recover",
    work: () => Promise<Step>,
  ): Promise<void> {
    this.step.value = { kind: during }
    this.problem.value = null
    this.progress.value = null
    try {
      this.step.value = await work()
    } catch (error) {
      this.problem.value = codeOf(error)
      this.asksInvite.value ||= this.problem.value === "bad-invite"
      this.asksContact.value ||= this.problem.value === "contact-required"
      this.step.value = { kind: before }
    }
  }

  #given(): readonly [invite: string | null, contact: ContactDetails | null] {
    const [name, email] = [this.name.value.trim(), this.email.value.trim()]
    const isAnswered = this.asksContact.value && (name !== "" || email !== "")
    return [this.invite.value === "" ? null : this.invite.value, isAnswered ? { name, email } : null]
  }

  #forgetRefusal(): void {
    this.problem.value = null
    this.asksInvite.value = this.asksContact.value = false
  }

  #twoGroups(): readonly [number, number] {
    const first = this.#random(CODE_GROUPS - 1)
    const second = this.#random(CODE_GROUPS - 1)
    return first <= second ? [first, second + 1] : [second, first]
  }
}

/** Read letters as the recovery code does: any case, no spaces or hyphens, O for 0, I and L for 1. */
export function foldCode(typed: string): string {
  return typed
    .toUpperCase()
    .replace(/[\s-]/g, "")
    .replaceAll("O", "0")
    .replace(/[IL]/g, "1")
}

/** Tell whether an origin is written as relays are; the client checks it again. */
export function isOrigin(typed: string): boolean {
  return /^(https:\/\/[a-z0-9.:[\]-]+|http:\/\/(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?)$/.test(typed)
}
