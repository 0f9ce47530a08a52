/** One end of a channel, to be killed: `listen NAME` or `connect NAME`; says so and stays. */
import process from "node:process";
import { connectNameService } from "../../src/naming/client.ts";
import { closeGranted, Half, native } from "./support.ts";

const [, , what, name = ""] = process.argv;
const service = await connectNameService(native, { start: "never", timeoutMs: 20_000 });
service.setRef(true);
const say = (event: string, flow = "") => process.stdout.write(`${JSON.stringify({ event, flow })}\n`);
const halves: Half[] = [];
const half = (role: 1 | 2) => (halves[halves.push(new Half("mempipe", "trusted", role, 4096)) - 1] as Half).offered;

if (what === "listen") {
  const registration = await service.register(name);
  await registration.listen({
    backlog: 4,
    onOffer: (offer) => {
      closeGranted(offer);
      const { controlFd, ringFd = -1 } = half(2);
      say("accepted", offer.flow);
      return { controlFd, ringFd };
    },
  });
  say("listening");
} else {
  const request = { to: name, trust: "trusted", ringBytes: 4096, maxMessageBytes: 1000, timeoutMs: 20_000 } as const;
  const grant = await service.connect({ ...request, prepare: () => half(1) });
  closeGranted(grant);
  say("connected", grant.flow);
}
