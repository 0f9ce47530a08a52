/** A handle that the program lost without closing it is closed when it is collected, with a warning: the peer would wait for ever. */

/** What is behind a handle, and survives it. */
interface Forgettable {
  readonly released: boolean;
  readonly over: boolean;
  readonly settings: { readonly peer: { readonly name: string } };
  close(drainDeadlineMs: number): Promise<unknown>;
}

let registry: FinalizationRegistry<Forgettable> | undefined;

export function watchHandle(handle: object, connection: Forgettable): void {
  registry ??= new FinalizationRegistry(closeForgotten);
  registry.register(handle, connection, handle);
}

export function forgetHandle(handle: object): void {
  registry?.unregister(handle);
}

function closeForgotten(connection: Forgettable): void {
  if (connection.released) return;
  if (!connection.over) warn(connection);
  void connection.close(0);
}

function warn(connection: Forgettable): void {
  console.warn(
    `fable: a handle to ${connection.settings.peer.name} was collected without being closed; call close(), or declare it with "await using".`,
  );
}
