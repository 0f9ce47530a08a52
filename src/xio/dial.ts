/** The initiator's side of a connection by name. */
import type { OfferedDescriptors } from "../naming/service.ts";
import type { Channel } from "../transport/channel.ts";
import { beginningOf, transportByName } from "../transport/registry.ts";
import { completeHandle, makeHalf, moveBeforeUse } from "./establish.ts";
import { CONNECTION, type Handle } from "./handle.ts";
import { closeOffer } from "./listener.ts";
import { obeyBroker } from "./obey.ts";
import { type ConnectOptions, DEFAULT_TIMEOUT_MS, resolveChannelOptions } from "./options.ts";
import type { Session } from "./session.ts";

/** Connects to `to`, speaking for the registered name `from`, or anonymously. */
export async function dialName(session: Session, to: string, from: string | undefined, options: ConnectOptions): Promise<Handle> {
  const { native, names } = session;
  const settings = resolveChannelOptions(options);
  const wanted = options.transport === undefined ? undefined : transportByName(options.transport);
  const { timeoutMs = DEFAULT_TIMEOUT_MS, signal } = options;
  const deadline = performance.now() + timeoutMs;
  let channel: Channel | undefined;
  try {
    const grant = await names.connect({
      to,
      trust: settings.trust,
      ringBytes: settings.ringBytes,
      maxMessageBytes: settings.maxMessageBytes,
      timeoutMs,
      ...(from === undefined ? {} : { from }),
      ...(wanted === undefined ? {} : { transport: beginningOf(wanted).name }),
      ...(options.wait === undefined ? {} : { wait: options.wait }),
      ...(signal === undefined ? {} : { signal }),
      prepare(transport, trust) {
        // The half of an earlier attempt may have been seen by somebody: a new one is made, the old one closed.
        channel?.close();
        channel = makeHalf(native, "initiator", transportByName(transport), trust, settings);
        return offered(channel);
      },
    });
    try {
      if (channel === undefined) throw new Error("the name service granted a channel it had not asked for");
      names.flowOpened(grant.flow, channel.made.controlFd);
    } catch (error) {
      closeOffer(session, grant);
      names.flowClosed(grant.flow);
      throw error;
    }
    channel.closeMade();
    const unsubscribe = { dead: () => {}, orders: () => {} };
    const handle = completeHandle(channel, { ...grant, linkFd: undefined, dataFd: undefined }, settings, {
      peer: { name: grant.peerName, pid: grant.peerPid, uid: grant.peerUid },
      flow: grant.flow,
      released() {
        unsubscribe.dead();
        unsubscribe.orders();
        names.flowClosed(grant.flow);
      },
    });
    const made = channel;
    unsubscribe.dead = names.onPeerDead(grant.flow, () => made.peerDied());
    unsubscribe.orders = obeyBroker(names, grant.flow, handle[CONNECTION]);
    if (wanted === undefined) return handle;
    return await moveBeforeUse(handle, wanted, { timeoutMs: Math.max(1, deadline - performance.now()), signal });
  } catch (error) {
    channel?.close();
    throw error;
  }
}

function offered(channel: Channel): OfferedDescriptors {
  const { controlFd, ringFd, doorbellFd, linkFd, dataFd } = channel.made;
  if (doorbellFd === undefined || linkFd === undefined) throw new Error("an initiator without a doorbell or link");
  return { controlFd, doorbellFd, linkFd, ...(ringFd === undefined ? {} : { ringFd }), ...(dataFd === undefined ? {} : { dataFd }) };
}
