/**
 * The typed face of libfable.so: one method per function of include/fable.h, same names without the prefix, same order of arguments.
 * `load.ts` builds it from the generated signatures; everything above `transport` and `naming` sees only this interface.
 * Results are statuses (see `status.ts`): zero or positive on success, negative codes otherwise.
 */
import type { NativePointer } from "../runtime/runtime.ts";

export interface Library {
  abi_version(): number;
  init(): number;
  errno(): number;
  blocks(): NativePointer;
  now_ns(): bigint;

  channel_new(options: Uint32Array): number;
  channel_attach(peer: Uint32Array): number;
  channel_arena(handle: number, which: number, sizeBytesOut: Uint32Array): NativePointer | null;
  channel_doorbell(handle: number): number;
  refill(handle: number): number;
  consume(handle: number, bytes: number, messages: number, payloadBytes: number): number;
  give_back(handle: number, offset: number, bytes: number, messages: number, payloadBytes: number): number;
  space(handle: number): number;
  room(handle: number, needed: number): number;
  publish(handle: number, bytes: number, word0: number, word1: number, messages: number, payloadBytes: number): number;
  pump(handle: number): number;
  close_write(handle: number): number;
  channel_peer_died(handle: number): number;
  channel_fault(handle: number, detail: number): number;
  channel_close(handle: number): number;
  channel_nodes(handle: number, which: number, pages: Uint32Array, capacity: number): number;
  channel_stats(handle: number, out: BigUint64Array): number;
  control_map(controlFd: number): number;
  control_stats(id: number, out: BigUint64Array): number;
  control_unmap(id: number): number;
  control_nodes(ids: Uint32Array, count: number, out: Uint32Array): number;
  control_sample(ids: Uint32Array, count: number, out: Uint32Array): number;
  send(handle: number, message: Uint8Array, sizeBytes: number): number;
  receive(handle: number, out: Uint8Array, capacityBytes: number): number;
  take(handle: number, out: Uint8Array, capacityBytes: number): number;

  switch(handle: number, transport: number, ringBytes: number, reason: number): number;
  ask(handle: number, transport: number, ringBytes: number, reason: number): number;
  attend(handle: number): number;
  cross(handle: number): number;
  retire(handle: number, which: number, epoch: number, messages: number, payloadBytes: number): number;
  event(handle: number, out: Uint32Array): number;

  poll(entries: Uint32Array, count: number, spinNs: number, announce: number): number;
  awake(handle: number): number;
  wait(entries: Uint32Array, count: number, timeoutMs: number, spinNs: number, wakeFd: number): number;

  socketpair(kind: number, out: Int32Array): number;
  listen(path: Uint8Array, pathBytes: number, mode: number, backlog: number): number;
  accept(fd: number): number;
  dial(path: Uint8Array, pathBytes: number): number;
  frame_send(fd: number, bytes: Uint8Array, sizeBytes: number, fds: Int32Array, fdCount: number): number;
  frame_receive(fd: number, out: Uint8Array, capacityBytes: number, fds: Int32Array, fdCapacity: number, fdCount: Uint32Array): number;
  peer_credentials(fd: number, out: Uint32Array): number;
  region_check(fd: number, out: Uint32Array): number;
  socket_check(fd: number): number;
  pid_open(pid: number): number;
  pid_dead(pidFd: number): number;
  close(fd: number): number;
  dup(fd: number): number;
  write(fd: number, bytes: Uint8Array, sizeBytes: number): number;
  read(fd: number, out: Uint8Array, capacityBytes: number): number;
  lock(path: Uint8Array, pathBytes: number): number;
  unlink_socket(path: Uint8Array, pathBytes: number): number;
  folder(path: Uint8Array, pathBytes: number): number;
  file_read(path: Uint8Array, pathBytes: number, out: Uint8Array, capacityBytes: number): number;
  file_create(path: Uint8Array, pathBytes: number, bytes: Uint8Array, sizeBytes: number, mode: number): number;
  file_replace(path: Uint8Array, pathBytes: number, bytes: Uint8Array, sizeBytes: number, mode: number): number;
  getenv(name: Uint8Array, nameBytes: number, out: Uint8Array, capacityBytes: number): number;
  self(out: Uint32Array): number;
  executable(out: Uint8Array, capacityBytes: number): number;
  spawn(
    argv: Uint8Array,
    argvBytes: number,
    extraEnv: Uint8Array,
    extraEnvBytes: number,
    logPath: Uint8Array,
    logPathBytes: number,
  ): number;
  random(out: Uint8Array, sizeBytes: number): number;

  net_connect(kind: number, address: Uint8Array, addressBytes: number, local: Uint8Array, localBytes: number): number;
  net_connected(fd: number): number;
  net_listen(kind: number, address: Uint8Array, addressBytes: number, backlog: number, mode: number): number;
  net_name(fd: number, peer: number, out: Uint8Array, capacityBytes: number): number;
  net_send(fd: number, bytes: Uint8Array, sizeBytes: number): number;
  net_receive(fd: number, kind: number, out: Uint8Array, capacityBytes: number, size: Uint32Array): number;
  net_finish(fd: number): number;
  net_unsent(fd: number): number;
  net_abort(fd: number): number;
  net_option(fd: number, which: number, on: number): number;

  loop_new(doorbellFdOut: Int32Array): number;
  loop_watch(loop: number, fd: number, token: number, events: number): number;
  loop_again(loop: number, fd: number, token: number, events: number): number;
  loop_forget(loop: number, fd: number): number;
  loop_take(loop: number, out: Uint32Array, capacity: number): number;
  loop_close(loop: number): number;

  cpu(): number;
  pin(cpu: number): number;
  affinity(maskWords: Uint32Array, capacityWords: number): number;
  thread_affinity(tid: number, maskWords: Uint32Array, capacityWords: number): number;
  thread_confine(tid: number, maskWords: Uint32Array, words: number): number;
  capability(which: number): number;
  line_ns(cpuA: number, cpuB: number, rounds: number, p50PicosecondsOut: Uint32Array): number;
}
