/**
 * One Firefox, driven over WebDriver BiDi: commands as JSON lines on standard input, an answer a line.
 *
 * Buttons are found by their names and fields by their labels, as a person finds them; a command waits until it can be
 * done. Nothing is added to the page: its policy forbids scripts that are not its own.
 */

import fs from "node:fs"
import { createRequire } from "node:module"
import os from "node:os"
import path from "node:path"
import readline from "node:readline"

const HANGING_MS = 30_000 // a bound against hanging, not a measurement
const AGAIN_MS = 25

const { resolve } = createRequire(new URL("../../web/package.json", import.meta.url))
const { default: puppeteer } = await import(resolve("puppeteer-core"))
const userDataDir = fs.mkdtempSync(path.join(os.tmpdir(), "firefox-"))
const downloads = path.join(userDataDir, "downloads")
const extraPrefsFirefox = {
  "browser.download.dir": downloads,
  "browser.download.folderList": 2, // that folder
  "media.peerconnection.ice.loopback": true, // this machine alone, without a name service for addresses
  "media.peerconnection.ice.obfuscate_host_addresses": false,
}
const browser = await puppeteer.launch({
  browser: "firefox", executablePath: process.argv[2], headless: true, userDataDir, extraPrefsFirefox,
})
const page = await browser.newPage()
const wrong = []
page.on("pageerror", (error) => wrong.push(error.message))
page.on("console", (message) => { if (message.type() === "error") wrong.push(message.text()) })

const isShown = (element) => element.checkVisibility() && !element.disabled
const nameOf = (element) => (element.ariaLabel ?? element.labels?.[0]?.innerText ?? element.innerText).trim()
const FIND = `(selector, name) => {
  const isShown = ${isShown}
  const nameOf = ${nameOf}
  const found = [...document.querySelectorAll(selector)].filter((element) => isShown(element) && nameOf(element) === name)
  return found.at(-1) ?? null
}`

async function until(work) {
  const end = performance.now() + HANGING_MS
  for (;;) {
    const value = await work()
    if (value) return value
    if (performance.now() > end) throw new Error(`nothing of that: ${await page.evaluate("document.body.innerText")}`)
    await new Promise((again) => setTimeout(again, AGAIN_MS))
  }
}

function find(selector, name) {
  return until(async () => {
    const handle = await page.evaluateHandle(`(${FIND})(${JSON.stringify(selector)}, ${JSON.stringify(name)})`)
    return handle.asElement()
  })
}

const commands = {
  goto: async (address) => { await page.goto(address) },
  reload: async () => { await page.reload() },
  press: async (name) => { await (await find("button", name)).click() },
  fill: async (label, text) => {
    const field = await find("input, textarea", label)
    await field.focus()
    await page.keyboard.type(text)
  },
  click: async (selector) => { await (await until(() => page.$(selector))).click() },
  key: async (key) => { await page.keyboard.press(key) },
  until: (script) => until(() => page.evaluate(script)),
  evaluate: (script) => page.evaluate(script),
  wrong: () => wrong.splice(0),
  downloaded: (name) => until(() => {
    const saved = path.join(downloads, name)
    const isWhole = fs.existsSync(saved) && fs.statSync(saved).size > 0 && !fs.existsSync(`${saved}.part`)
    return isWhole && saved
  }),
}

const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`)
say({ value: await browser.version() })
for await (const line of readline.createInterface({ input: process.stdin })) {
  const [name, ...given] = JSON.parse(line)
  try {
    say({ value: (await commands[name](...given)) ?? null })
  } catch (error) {
    say({ error: `${name} ${given.join(" ").slice(0, 80)}: ${error.message}` })
  }
}
await browser.close()
fs.rmSync(userDataDir, { recursive: true, force: true })
