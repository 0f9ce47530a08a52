/** A handle that the program lost without closing it is closed when it is collected, with a warning: the peer would wait for ever. */
import type { Connection } from "./connection.ts";
import type { Handle } from "./handle.ts";

let registry: FinalizationRegistry<Connection> | undefined;

export function watchHandle(handle: Handle, connection: Connection): void {
  registry ??= new FinalizationRegistry(closeForgotten);
  registry.register(handle, connection, handle);
}

export function forgetHandle(handle: Handle): void {
  registry?.unregister(handle);
}

function closeForgotten(connection: Connection): void {
  if (connection.released) return;
  if (!connection.over) warn(connection);
  void connection.close(0);
}

function warn(connection: Connection): void {
  console.warn(
    `fable: a handle to ${connection.settings.peer.name} was collected without being closed; call close(), or declare it with "await using".`,
  );
}
