/** The official client, as it comes: node follow.js URL MODE OFFSET COUNT. Leaves after COUNT records, 0: at the end. */
import { stream } from "@durable-streams/client"

const [url, mode, offset, count] = process.argv.slice(2)
const seen = []
const answer = await stream({ url, offset, live: mode === "true" ? true : mode })
answer.subscribeJson((batch) => {
  seen.push(...batch.items)
  console.log(JSON.stringify({ items: batch.items, offset: batch.offset, closed: batch.streamClosed }))
  if (Number(count) && seen.length >= Number(count)) process.exit(0)
})
await answer.closed
