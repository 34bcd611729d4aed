// Looks at a run on Airflow's own pages as a person does: `airflow.mjs CHROMIUM URL USER PASSWORD PICTURES RUN...`, each
// RUN being `dag_id/run_id/task_id/STATE/LOGGED[/XCOM]`, URL-encoded. Logs in on the form, opens the run's page, the
// task's log and its XComs, each until it shows what it must. Keeps a picture of each in the folder PICTURES, and prints their
// names as JSON.
import { chromium } from "playwright-core"

const [executablePath, url, user, password, pictures, ...runs] = process.argv.slice(2)
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] }) // tests may run as root
const shown = []
try {
  const page = await browser.newPage({ viewport: { width: 1400, height: 900 } })
  page.setDefaultTimeout(60_000)
  await page.goto(url)
  await page.fill("input[name=username]", user)
  await page.fill("input[name=password]", password)
  await page.press("input[name=password]", "Enter")
  await page.waitForURL(address => !address.pathname.includes("login"))
  for (const run of runs) {
    const [dag, id, task, state, logged, xcom] = run.split("/").map(decodeURIComponent)
    const address = `${url}/dags/${encodeURIComponent(dag)}/runs/${encodeURIComponent(id)}`
    const look = async (path, name, wanted) => {
      await page.goto(address + path)
      await page.waitForFunction(all => all.every(text => document.body.innerText.includes(text)), wanted)
      await page.screenshot({ path: `${pictures}/${dag}-${name}.png` })
      shown.push(`${dag}-${name}`)
    }
    const ofTask = `/tasks/${encodeURIComponent(task)}`
    await look("", "run", [id, task, state])
    await look(`${ofTask}?tab=logs`, "log", [state, logged])
    if (xcom) await look(`${ofTask}/xcom`, "xcom", ["return_value", xcom])
  }
  console.log(JSON.stringify(shown))
} finally {
  await browser.close()
}
