/* The script of the page: draws the charts, follows light and dark, and moves the timeline. */
const charts = JSON.parse(document.querySelector("#charts").textContent)
const views = new Map()

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

const theme = () => {
  const [text, line, first, second] = ["--text", "--line", "--first", "--second"].map(color)
  const font = "system-ui, sans-serif"
  const axis = {
    labelColor: text,
    titleColor: text,
    gridColor: line,
    domainColor: line,
    tickColor: line,
    labelFont: font,
    titleFont: font
  }
  return {
    background: "transparent",
    axis,
    legend: { labelColor: text, titleColor: text, labelFont: font },
    range: { category: [first, second] },
    view: { stroke: line }
  }
}

const drawOne = async ([id, { renderer, spec }]) => {
  // The place around it has a name, and the figures are a table. The marks are nothing to read out.
  const place = document.querySelector(`#${id} .chart > div`)
  const domain = id === "timeline" ? views.get(id)?.signal("domain") : undefined
  views.get(id)?.finalize()
  const view = new vega.View(vega.parse(spec, vega.mergeConfig(spec.config ?? {}, theme())), {
    renderer,
    container: place,
    hover: true
  })
  if (domain !== undefined) view.signal("domain", domain)
  views.set(id, view)
  await view.runAsync()
}

const draw = async () => {
  await Promise.all(Object.entries(charts).map(drawOne))
  document.documentElement.dataset.drawn = "true"
}

const timeline = document.querySelector("#timeline .chart")
const shown = document.querySelector("#shown")

const show = async (from, to) => {
  const view = views.get("timeline")
  const end = view.signal("end")
  const length = Math.min(end, Math.max(0.01, to - from))
  const begin = Math.min(Math.max(0, from), end - length)
  await view.signal("domain", [begin, begin + length]).runAsync()
  const seconds = (millis) => `${(millis / 1000).toFixed(length < 50 ? 5 : 3)} s`
  shown.textContent = `${seconds(begin)} to ${seconds(begin + length)}`
}

const zoom = (by, at = 0.5) => {
  const [from, to] = views.get("timeline").signal("domain")
  const fixed = from + (to - from) * at
  return show(fixed - (fixed - from) * by, fixed + (to - fixed) * by)
}

const move = (by) => {
  const [from, to] = views.get("timeline").signal("domain")
  return show(from + by * (to - from), to + by * (to - from))
}

const all = () => show(0, views.get("timeline").signal("end"))

const actions = { in: () => zoom(0.5), out: () => zoom(2), left: () => move(-0.25), right: () => move(0.25), all }
const keys = { "+": "in", "=": "in", "-": "out", ArrowLeft: "left", ArrowRight: "right", Home: "all", 0: "all" }

for (const button of document.querySelectorAll("[data-action]")) {
  button.addEventListener("click", () => actions[button.dataset.action]())
}

timeline.addEventListener("keydown", (event) => {
  const action = keys[event.key]
  if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return
  event.preventDefault()
  actions[action]()
})

/* A wheel with Ctrl, which is also two fingers on a touchpad, zooms. Without it the page scrolls as usual. */
timeline.addEventListener(
  "wheel",
  (event) => {
    if (!event.ctrlKey) return
    event.preventDefault()
    const view = views.get("timeline")
    const { left } = timeline.getBoundingClientRect()
    const at = (event.clientX - left - view.origin()[0]) / view.width()
    zoom(event.deltaY < 0 ? 0.8 : 1.25, Math.min(1, Math.max(0, at)))
  },
  { passive: false }
)

let dragged
timeline.addEventListener("pointerdown", (event) => {
  dragged = { x: event.clientX, domain: views.get("timeline").signal("domain") }
  timeline.setPointerCapture(event.pointerId)
})
timeline.addEventListener("pointermove", (event) => {
  if (dragged === undefined) return
  const [from, to] = dragged.domain
  const by = ((dragged.x - event.clientX) / views.get("timeline").width()) * (to - from)
  show(from + by, to + by)
})
for (const end of ["pointerup", "pointercancel"]) timeline.addEventListener(end, () => (dragged = undefined))

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw)
draw().then(all)
