/** A command's short visit to the name service: connects, never starts a broker just to look, and leaves. */
import { connectNameService } from "../naming/client.ts";
import type { BrokerService } from "../naming/service.ts";
import { loadNative } from "../native/load.ts";

const VISIT_TIMEOUT_MS = 500;

export async function withNameService<T>(socket: string | undefined, visit: (service: BrokerService) => Promise<T>): Promise<T> {
  const service = await connectNameService(loadNative(), {
    start: "never",
    timeoutMs: VISIT_TIMEOUT_MS,
    ...(socket === undefined ? {} : { socket }),
  });
  try {
    service.setRef(true);
    return await visit(service);
  } finally {
    await service.close();
  }
}
