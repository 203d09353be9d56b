/** A duration as tables show it: `59s`, `2m5s`, `3h`, `5d2h`. */
export const humanDuration = (millis: number): string => {
  const seconds = Math.floor(millis / 1000)
  if (seconds < -1) return "<invalid>"
  if (seconds < 0) return "0s"
  if (seconds < 120) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 10) return two(minutes, "m", seconds % 60, "s")
  if (minutes < 180) return `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 8) return two(hours, "h", minutes % 60, "m")
  if (hours < 48) return `${hours}h`
  const days = Math.floor(hours / 24)
  if (hours < 192) return two(days, "d", hours % 24, "h")
  if (hours < 17_520) return `${days}d`
  if (hours < 70_080) return two(Math.floor(days / 365), "y", days % 365, "d")
  return `${Math.floor(days / 365)}y`
}

const two = (large: number, largeUnit: string, small: number, smallUnit: string) =>
  `${large}${largeUnit}${small === 0 ? "" : `${small}${smallUnit}`}`
