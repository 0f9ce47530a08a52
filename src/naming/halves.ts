/** The two halves of a channel on their way through the broker: which descriptor is which, and no descriptor left over. */
import { FableError } from "../errors.ts";
import type { TransportName } from "../transport/transport.ts";
import { type DescriptorRole, grantRoles, halfRoles, type Responses } from "./protocol.ts";
import type { Grant, Offer, OfferAnswer, OfferedDescriptors } from "./service.ts";

export interface Half {
  readonly roles: readonly DescriptorRole[];
  readonly descriptors: readonly number[];
}

/** An initiator's half, in the order of the wire. */
export function halfDescriptors(transport: TransportName, half: OfferedDescriptors): Half {
  const all = { control: half.controlFd, ring: half.ringFd, doorbell: half.doorbellFd, link: half.linkFd, data: half.dataFd };
  return pick(halfRoles(transport, "initiator"), all, transport);
}

/** An acceptor's half, in the order of the wire. */
export function acceptorHalf(transport: TransportName, half: OfferAnswer): Half {
  return pick(halfRoles(transport, "acceptor"), { control: half.controlFd, ring: half.ringFd }, transport);
}

function pick(roles: readonly DescriptorRole[], all: Partial<Record<DescriptorRole, number | undefined>>, transport: string): Half {
  const descriptors = roles.map((role) => {
    const fd = all[role];
    if (fd !== undefined && fd >= 0) return fd;
    throw new FableError("BAD_ARGUMENT", `a ${transport} channel needs a ${role} descriptor, and there is none`);
  });
  return { roles, descriptors };
}

/** A grant as the program gets it. Throws PROTOCOL and closes everything if descriptors are missing or left over. */
export function grantFrom(message: Responses["grant"], descriptors: readonly number[], close: (fd: number) => void): Grant {
  const doorbell = message.descriptors.includes("doorbell");
  const half = named(message, descriptors, grantRoles(message.transport, doorbell), close);
  if (half !== undefined) {
    return {
      ...introduction(message),
      controlFd: half("control"),
      ringFd: message.transport === "unix" ? undefined : half("ring"),
      doorbellFd: doorbell ? half("doorbell") : undefined,
      pidFd: half("pid"),
    };
  }
  throw new FableError("PROTOCOL", "the broker granted a channel with wrong descriptors", {
    remedy: "update the broker and this program to the same version",
  });
}

/** An offer as the listener gets it. Undefined, with everything closed, if descriptors do not fit or nobody wants it. */
export function offerFrom(
  message: Responses["offer"],
  descriptors: readonly number[],
  close: (fd: number) => void,
  wanted: boolean,
): Offer | undefined {
  const half = named(message, descriptors, wanted ? [...halfRoles(message.transport, "initiator"), "pid"] : [], close);
  if (half === undefined || !wanted) return undefined;
  const kernel = message.transport === "unix";
  return {
    ...introduction(message),
    controlFd: half("control"),
    ringFd: kernel ? undefined : half("ring"),
    doorbellFd: half("doorbell"),
    linkFd: half("link"),
    dataFd: kernel ? half("data") : undefined,
    pidFd: half("pid"),
    ringBytes: message.ring_bytes,
    maxMessageBytes: message.max_message_bytes,
  };
}

function introduction(message: Responses["grant"] | Responses["offer"]): Omit<Grant, "controlFd" | "ringFd" | "doorbellFd" | "pidFd"> {
  const { flow, transport, trust, peer_name: peerName, peer_pid: peerPid, peer_uid: peerUid } = message;
  return { flow, transport, trust, peerName, peerPid, peerUid };
}

/** Descriptors by role, if they are exactly those expected; else all of them are closed. */
function named(
  message: { readonly descriptors: readonly DescriptorRole[] },
  descriptors: readonly number[],
  expected: readonly DescriptorRole[],
  close: (fd: number) => void,
): ((role: DescriptorRole) => number) | undefined {
  const { descriptors: roles } = message;
  const fits = roles.length === expected.length && descriptors.length === roles.length
    && expected.every((role, index) => roles[index] === role);
  if (fits) return (role) => descriptors[roles.indexOf(role)] as number;
  for (const fd of descriptors) close(fd);
  return undefined;
}
