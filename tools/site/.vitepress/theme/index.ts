import type { Theme } from "vitepress"
import DefaultTheme from "vitepress/theme"
import { defineAsyncComponent } from "vue"
import Diagram from "./Diagram.vue"

export default {
  extends: DefaultTheme,
  enhanceApp: ({ app }) => {
    app.component("Diagram", Diagram)
    // Only one page needs the library.
    app.component(
      "Play",
      defineAsyncComponent(() => import("./Play.vue"))
    )
  }
} satisfies Theme
