// Asks a question on the page of explain_python as a person does: `page.mjs CHROMIUM PAGE SERVER QUESTION ANSWER`.
// Waits until the page shows ANSWER. Prints all that it has shown, one after the other, and what became of an attempt to
// call the dagcall server itself from there, as JSON.
import { chromium } from "playwright-core"

const [executablePath, url, server, question, expected] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }) // tests may run as root
try {
  const page = await browser.newPage()
  await page.goto(url)
  await page.evaluate(() => {
    window.shown = []
    new MutationObserver(() => window.shown.push(answer.textContent)).observe(answer, { childList: true })
  })
  await page.fill("#question", question)
  await page.click("button")
  await page.waitForFunction(text => answer.textContent === text, expected, { timeout: 30_000 })
  const foreign = await page.evaluate(async call => {
    try {
      return (await fetch(call, { method: "POST", headers: { "Content-Type": "application/json" }, body: "{}" })).status
    } catch (error) {
      return error.name
    }
  }, `${server}/call/explain_python`)
  console.log(JSON.stringify({ shown: await page.evaluate(() => window.shown), foreign }))
} finally {
  await browser.close()
}
