// Uses the Call view in Airflow's UI as a person does: `call_view.mjs CHROMIUM AIRFLOW USER PASSWORD PICTURE WHAT`.
// WHAT: `call` calls DAGs, `away` looks at the view while no dagcall server is there. Prints what it has seen, as JSON.
import { chromium } from "playwright-core"

const [executablePath, airflow, user, password, picture, what] = process.argv.slice(2)
const limit = { timeout: 60_000 }
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }) // tests may run as root
const seen = { complaints: [] }
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } })
  page.setDefaultTimeout(limit.timeout)
  page.on("console", message => {
    const where = message.location().url
    if (message.type() === "error" && where.includes("/dagcall/")) seen.complaints.push(`${where}: ${message.text()}`)
  })
  page.on("pageerror", error => seen.complaints.push(String(error)))

  await page.goto(airflow)
  await page.fill("input[name=username]", user)
  await page.fill("input[name=password]", password)
  await page.click("button[type=submit]")
  await page.waitForURL(url => !url.pathname.includes("/login"))

  const open = async (dagId, title = "Call") => {
    await page.goto(`${airflow}/dags/${dagId}`)
    await page.getByRole("link", { name: "Call", exact: true }).click()
    return page.frameLocator(`iframe[title="${title}"]`)
  }

  if (what === "away") {
    const view = await open("greeting")
    seen.alarm = await view.getByRole("alert").innerText()
    seen.canTryAgain = await view.getByRole("button", { name: "Try again" }).isVisible()
  } else {
    const view = await open("greeting")
    await view.getByLabel("name").fill("<b>Ada</b>")
    await view.getByRole("button", { name: "Call" }).press("Enter") // no mouse
    await view.getByText(/^Answered in/).waitFor()
    seen.status = await view.getByRole("status").innerText()
    seen.answer = await view.locator("#answer pre").first().innerText()
    const themeOf = () => view.locator("html").evaluate(html => [html.dataset.theme, getComputedStyle(html.ownerDocument.body).backgroundColor])
    await page.evaluate(() => document.documentElement.classList.remove("dark"))
    await view.locator("html[data-theme=light]").waitFor()
    seen.light = await themeOf()
    await page.evaluate(() => document.documentElement.classList.add("dark"))
    await view.locator("html[data-theme=dark]").waitFor()
    seen.dark = await themeOf()
    await view.locator("summary").click()
    seen.tasks = await view.locator("tbody tr").first().innerText()
    await page.screenshot({ path: picture })
    const frame = page.frames().find(one => one.url().includes("/dagcall/view/"))
    seen.unlabelled = await frame.evaluate(() => [...document.querySelectorAll("input, select, textarea")]
      .filter(one => !one.labels?.length && !one.getAttribute("aria-label")).map(one => one.outerHTML))

    const failing = await open("stumbling")
    await failing.getByRole("button", { name: "Call" }).click()
    seen.failure = await failing.locator("#answer [role=alert]").innerText()
    seen.failed = await failing.getByRole("status").innerText()
    await failing.getByRole("link", { name: "This answer" }).click() // the run, read again from its events
    await failing.getByRole("heading", { name: /^stumbling: / }).waitFor()
    seen.again = await failing.locator("#answer [role=alert]").innerText()

    const recorded = await open("greeting")
    await recorded.getByRole("button", { name: "Call" }).click()
    await recorded.getByRole("link", { name: "In Airflow" }).click() // once dagcall has recorded the run
    await page.waitForURL(/\/dags\/greeting\/runs\//)
    seen.grid = page.url()

    await page.goto(`${airflow}/plugin/dagcall`)
    const list = page.frameLocator("iframe")
    await list.getByRole("link", { name: "greeting" }).click()
    await page.waitForURL(`${airflow}/dags/greeting/plugin/dagcall-call`)
    seen.listed = true
  }
  console.log(JSON.stringify(seen))
} finally {
  await browser.close()
}
