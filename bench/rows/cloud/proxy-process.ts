/** The slow line in a process of its own, so that it takes no time from the one that is measured. The message it gets names the server; it answers with its port. */
import { type ProxyOptions, startProxy } from '@tensorhub/servers/proxy'

process.once(
  'message',
  async ({ target, options }: { target: { host: string; port: number }; options: ProxyOptions }) => {
    const proxy = await startProxy(target, options)
    process.send?.(proxy.port)
  },
)
process.once('disconnect', () => process.exit())
