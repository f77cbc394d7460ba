/** Waiting that something else can end. */

/** Is set by what happens and waited for by a loop; one that was set before ends the next wait at once. */
export class Alarm {
  #isSet = false
  #ring: (() => void) | null = null

  set(): void {
    this.#isSet = true
    this.#ring?.()
  }

  /**
   * Wait until it is set, then forget that it was.
   *
   * @param millis How long at most; null: for ever.
   */
  async wait(millis: number | null): Promise<void> {
    if (!this.#isSet) {
      await new Promise<void>((resolve) => {
        const timer = millis === null ? null : setTimeout(resolve, millis)
        this.#ring = () => {
          if (timer !== null) clearTimeout(timer)
          resolve()
        }
      })
      this.#ring = null
    }
    this.#isSet = false
  }
}
