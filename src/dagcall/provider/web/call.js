// The Call view: a form made of a DAG's params, its answer as it comes; a run's answer; the list of callable DAGs.
// Whatever a DAG or a server says is put on the page as text, never as HTML.

const root = document.documentElement.dataset.root
const main = document.getElementById("main")
const [dagId, runId] = location.pathname.slice(root.length).split("/").slice(2).map(decodeURIComponent)
const reconnects = 20

function element(name, properties = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(properties)) {
    if (key === "class") made.className = value
    else if (key.startsWith("aria-") || key === "role") made.setAttribute(key, value)
    else if (value !== undefined) made[key] = value
  }
  made.append(...children.filter(child => child !== null && child !== undefined))
  return made
}

const path = (...parts) => parts.map(encodeURIComponent).join("/")
const airflow = () => new URL(`${root.replace(/\/dagcall$/, "")}/`, location.href)

// Airflow's theme, where this page is inside of Airflow; its frame has the same origin.
function followTheme() {
  const airflows = window.parent !== window ? window.parent.document.documentElement : null
  const preferred = matchMedia("(prefers-color-scheme: dark)")
  const apply = () => {
    const isDark = airflows ? airflows.classList.contains("dark") : preferred.matches
    document.documentElement.dataset.theme = isDark ? "dark" : "light"
  }
  apply()
  preferred.addEventListener("change", apply)
  if (airflows) new MutationObserver(apply).observe(airflows, { attributes: true, attributeFilter: ["class"] })
}

// A link that leaves the frame: the frame's sandbox forbids that to it, so the page around it does it.
function leaving(text, href, target = "_self") {
  const link = element("a", { href, textContent: text, rel: "noopener" })
  link.addEventListener("click", event => {
    if (window.parent === window) return
    event.preventDefault()
    const outside = window.parent.document.createElement("a")
    Object.assign(outside, { href: link.href, target, rel: "noopener" })
    outside.click()
  })
  return link
}

class Refused extends Error {
  constructor(status, problem) {
    const detail = problem?.detail
    super(typeof detail === "string" ? detail : `The server answered ${status}.`)
    this.status = status
    this.problem = problem ?? {}
  }
}

async function ask(where, options = {}) {
  let answer
  try {
    answer = await fetch(`${root}/api/${where}`, { cache: "no-store", ...options })
  } catch {
    throw new Refused(0, { detail: "Airflow does not answer." })
  }
  if (answer.ok) return answer
  const problem = await answer.json().catch(() => null)
  if (answer.status === 401) throw new Refused(401, { detail: "You are not logged in any more: reload the page." })
  if (answer.status === 403) throw new Refused(403, { detail: "You may not do this with this DAG." })
  throw new Refused(answer.status, problem)
}

// ---- the form --------------------------------------------------------------------------------------------------------

class Field {
  // `schema` is the JSON Schema of one param. What no simple input fits is given as JSON.
  constructor(name, schema, isRequired) {
    this.name = name
    this.isRequired = isRequired
    const types = [schema.type ?? []].flat()
    this.isNullable = types.includes("null")
    this.type = types.filter(one => one !== "null").length === 1 ? types.find(one => one !== "null") : "any"
    if (schema.enum) this.type = "enum"
    const id = `param-${name}`
    this.input = this.makeInput(schema, id)
    this.error = element("p", { class: "hint bad", id: `${id}-error` })
    const about = [schema.description, this.isJson ? "As JSON." : null].filter(Boolean).join("\n")
    const hint = about ? element("p", { class: "hint", id: `${id}-hint`, textContent: about }) : null
    this.input.setAttribute("aria-describedby", [hint?.id, this.error.id].filter(Boolean).join(" "))
    if (isRequired) this.input.setAttribute("aria-required", "true")
    const label = element("label", { htmlFor: id, textContent: (schema.title ?? name) + (isRequired ? " *" : "") })
    const isCheck = this.input.type === "checkbox"
    this.row = element("div", { class: "field" }, isCheck ? this.input : null, label, isCheck ? null : this.input, hint,
      this.error)
  }

  get isJson() {
    return !["string", "integer", "number", "boolean", "enum"].includes(this.type)
  }

  makeInput(schema, id) {
    const known = schema.default
    if (this.type === "boolean") return element("input", { id, type: "checkbox", checked: known === true })
    if (this.type === "enum") {
      this.choices = schema.enum
      const options = schema.enum.map((one, index) => element("option", { value: String(index), textContent: String(one),
        selected: JSON.stringify(one) === JSON.stringify(known) }))
      return element("select", { id }, ...options)
    }
    if (this.isJson) return element("textarea", { id, value: known === undefined ? "" : JSON.stringify(known, null, 2) })
    const text = known === undefined || known === null ? "" : String(known)
    if (this.type === "string" && (schema.format === "multiline" || text.includes("\n") || schema.maxLength > 200))
      return element("textarea", { id, value: text })
    const type = this.type === "string" ? "text" : "number"
    return element("input", { id, type, value: text, step: this.type === "number" ? "any" : undefined })
  }

  // What to send; undefined: nothing, so that the DAG's own default holds.
  get value() {
    const text = this.input.value
    if (this.type === "boolean") return this.input.checked
    if (this.type === "enum") return this.choices[Number(text)]
    if (this.type === "string") return text === "" && this.isNullable ? null : text
    if (text.trim() === "") {
      if (this.input.validity.badInput) throw new Error("This is not a number.")
      return this.isNullable ? null : undefined
    }
    if (this.type === "integer" || this.type === "number") return Number(text)
    try {
      return JSON.parse(text)
    } catch {
      throw new Error("This is not JSON.")
    }
  }

  complain(text) {
    this.error.textContent = text
    this.input.setAttribute("aria-invalid", text ? "true" : "false")
  }
}

function formOf(contract, onCall) {
  const schema = contract.params_schema ?? {}
  const fields = Object.entries(schema.properties ?? {}).map(
    ([name, one]) => new Field(name, one, (schema.required ?? []).includes(name)))
  const button = element("button", { type: "submit", textContent: "Call" })
  const form = element("form", { noValidate: true, id: "params" }, ...fields.map(field => field.row),
    element("div", { class: "row" }, button))
  form.addEventListener("submit", async event => {
    event.preventDefault()
    const params = {}
    let wrong = null
    for (const field of fields) {
      field.complain("")
      try {
        const value = field.value
        if (value !== undefined) params[field.name] = value
      } catch (error) {
        field.complain(error.message)
        wrong ??= field
      }
    }
    if (wrong) return wrong.input.focus()
    button.disabled = true
    try {
      await onCall(params)
    } catch (error) {
      if (!(error instanceof Refused)) throw error
      for (const { field, reason } of error.problem.errors ?? [])
        fields.find(one => one.name === String(field).split(/[.[/]/)[0])?.complain(reason)
      fields.find(one => one.error.textContent)?.input.focus()
    } finally {
      button.disabled = false
    }
  })
  return form
}

// ---- a run -----------------------------------------------------------------------------------------------------------

const duration = seconds => (seconds < 1 ? `${Math.max(1, Math.round(seconds * 1000))} ms` : `${seconds.toFixed(2)} s`)
// Browsers keep milliseconds of a time, servers tell microseconds.
const secondsOf = time => Date.parse(time) / 1000 + Number((/\.\d{3}(\d+)/.exec(time)?.[1] ?? "0").padEnd(3, "0").slice(0, 3)) / 1e6

class RunView {
  constructor(server) {
    this.server = server
    this.status = element("p", { role: "status", "aria-live": "polite" })
    this.answer = element("div")
    this.chunks = element("pre", { hidden: true, "aria-live": "polite" })
    this.tasks = element("tbody")
    this.cancel = element("button", { type: "button", class: "quiet", textContent: "Cancel", hidden: true })
    this.cancel.addEventListener("click", () => this.end())
    this.links = element("p", { class: "row" })
    const table = element("table", {}, element("thead", {}, element("tr", {}, element("th", { textContent: "Task" }),
      element("th", { textContent: "State" }), element("th", { textContent: "After" }))), this.tasks)
    this.details = element("details", { hidden: true }, element("summary", { textContent: "Tasks" }), table)
    this.box = element("section", { id: "answer" }, element("h2", { textContent: "Answer" }),
      element("div", { class: "row" }, this.status, this.cancel), this.answer, this.chunks, this.links, this.details)
    this.rows = new Map()
    this.lastId = 0
    this.isOver = false
  }

  say(text, kind = "") {
    this.status.textContent = text
    this.status.className = kind
  }

  // Shows what the stream tells until its last event, over any number of connections.
  async follow(opening) {
    this.say("Calling…")
    let answer = null
    for (let left = reconnects; !this.isOver; left--) {
      try {
        answer = opening ? await opening : await ask(`dags/${path(dagId)}/runs/${path(this.runId)}/events`,
          { headers: { "Last-Event-ID": String(this.lastId) } })
        if (answer.status === 204) return
        for await (const event of eventsOf(answer)) this.show(event)
      } catch (error) {
        if (opening || !(error instanceof Refused) || (error.status && error.status < 500) || left <= 0) {
          this.say(error.message, "bad")
          throw error
        }
      }
      opening = null
      if (this.isOver || !this.runId || left <= 0) return
      await new Promise(resolve => setTimeout(resolve, 500))
    }
  }

  show({ id, event, run_id: run, time, data }) {
    this.lastId = id
    this.runId = run
    const at = secondsOf(time)
    this.began ??= at
    if (event === "accepted") {
      this.say("Running…")
      this.cancel.hidden = false
      this.links.replaceChildren(...this.addresses())
    } else if (event === "task") {
      this.showTask(data, at)
    } else if (event === "chunk") {
      this.chunks.hidden = false
      this.chunks.append(`${typeof data.value === "string" ? data.value : JSON.stringify(data.value)}\n`)
    } else if (event === "rollback") {
      this.chunks.replaceChildren()
    } else if (event === "result") {
      this.say(`Answered in ${duration(at - this.began)}`, "good")
      this.answer.replaceChildren(...this.shown(data.value))
      this.chunks.hidden = true
    } else if (event === "failure") {
      this.say(`${data.title ?? "Failed"} after ${duration(at - this.began)}`, "bad")
      this.answer.replaceChildren(element("pre", { role: "alert", textContent: data.detail ?? "" }))
    } else if (event === "end") {
      if (!this.answer.hasChildNodes() && data.state)
        this.say(`Ended as ${data.state} after ${duration(at - this.began)}`, data.state === "success" ? "good" : "bad")
      this.isOver = true
      this.cancel.hidden = true
      this.lookInAirflow()
    }
  }

  showTask(task, at) {
    const key = JSON.stringify([task.task_id, task.map_index])
    if (!this.rows.has(key)) {
      const label = task.map_index >= 0 ? `${task.task_id} [${task.map_index}]` : task.task_id
      const row = element("tr", {}, element("td", { textContent: label }), element("td"), element("td"))
      this.rows.set(key, row)
      this.tasks.append(row)
    }
    const [, state, after] = this.rows.get(key).children
    const tried = task.try_number > 1 ? `, try ${task.try_number}` : ""
    state.textContent = `${task.state}${tried}${task.error ? `: ${task.error.type}: ${task.error.message}` : ""}`
    after.textContent = duration(at - this.began)
    this.details.hidden = false
  }

  shown(value) {
    const reference = value?.reference
    if (reference && Object.keys(value).length === 1 && String(reference.href ?? "").startsWith("/call/")) {
      const task = reference.href.split("/").slice(5)
      const href = `${root}/api/dags/${path(dagId)}/runs/${path(this.runId)}/value${task.length ? `/${task.join("/")}` : ""}`
      const text = `Download (${reference.size} bytes, ${reference.media_type})`
      return [element("p", {}, element("a", { href, download: "", textContent: text })),
        element("pre", { textContent: JSON.stringify(value, null, 2) })]
    }
    return [element("pre", { textContent: typeof value === "string" ? value : JSON.stringify(value, null, 2) })]
  }

  addresses() {
    const own = element("a", { href: `${root}/view/${path(dagId, this.runId)}`, textContent: "This answer" })
    const there = leaving("At dagcall", `${this.server}/call/${path(dagId, this.runId)}`, "_blank")
    return [element("span", { class: "muted", textContent: this.runId }), own, there]
  }

  // A run is in Airflow's grid when dagcall records it, which takes a moment.
  async lookInAirflow() {
    const run = `dags/${path(dagId)}/dagRuns/${path(this.runId)}`
    for (let tries = 0; tries < 5; tries++) {
      const answer = await fetch(new URL(`api/v2/${run}`, airflow())).catch(() => null)
      if (answer?.ok) {
        this.links.append(leaving("In Airflow", new URL(`dags/${path(dagId)}/runs/${path(this.runId)}`, airflow()).href))
        return
      }
      await new Promise(resolve => setTimeout(resolve, 1000 * (tries + 1)))
    }
  }

  async end() {
    this.cancel.disabled = true
    const json = { "Content-Type": "application/json" }
    await ask(`dags/${path(dagId)}/runs/${path(this.runId)}`, { method: "DELETE", headers: json })
      .catch(error => this.say(error.message, "bad"))
    this.cancel.disabled = false
  }
}

async function* eventsOf(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ""
  for (;;) {
    const { done, value } = await reader.read().catch(() => ({ done: true }))
    if (done) return
    const lines = (rest + value).split("\n")
    rest = lines.pop()
    for (const line of lines) if (line.trim()) yield JSON.parse(line)
  }
}

// ---- pages -----------------------------------------------------------------------------------------------------------

function alarm(error) {
  const again = element("button", { type: "button", class: "quiet", textContent: "Try again" })
  again.addEventListener("click", start)
  main.replaceChildren(element("p", { role: "alert", class: "bad", textContent: error.message }), again)
}

async function showCall() {
  const contract = await (await ask(`dags/${path(dagId)}`)).json()
  const heading = element("h1", { textContent: `Call ${contract.display_name ?? dagId}` })
  const about = contract.description ? element("p", { class: "muted", textContent: contract.description }) : null
  if (contract.callable === false) {
    const why = (contract.features ?? []).map(one => `${one.task_id ?? ""} ${one.feature ?? ""}: ${one.reason ?? ""}`).join("\n")
    main.replaceChildren(heading, element("p", { role: "alert", class: "bad", textContent: "This DAG cannot be called." }),
      element("pre", { textContent: why }))
    return
  }
  const place = element("div")
  const form = formOf(contract, async params => {
    const run = new RunView(contract.server)
    place.replaceChildren(run.box)
    await run.follow(ask(`dags/${path(dagId)}/runs`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(params),
    }))
  })
  main.replaceChildren(...[heading, about, form, place].filter(Boolean))
}

async function showRun() {
  const contract = await (await ask(`dags/${path(dagId)}`)).json()
  const run = new RunView(contract.server)
  run.runId = runId
  main.replaceChildren(element("h1", { textContent: `${dagId}: ${runId}` }), run.box)
  await run.follow(null).catch(() => {})
}

async function showList() {
  const { dags } = await (await ask("dags")).json()
  const rows = dags.map(one => element("tr", {},
    element("td", {}, leaving(one.display_name ?? one.dag_id, new URL(`dags/${path(one.dag_id)}/plugin/dagcall-call`, airflow()).href)),
    element("td", { class: "muted", textContent: one.description ?? "" })))
  const heading = element("h1", { textContent: "Callable DAGs" })
  const nothing = element("p", { class: "muted", textContent: "dagcall serves none that you may see." })
  main.replaceChildren(heading, rows.length ? element("table", {}, element("tbody", {}, ...rows)) : nothing)
}

function start() {
  const show = runId ? showRun : dagId ? showCall : showList
  return show().catch(alarm)
}

followTheme()
start()
