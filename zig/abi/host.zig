//! Exports for everything that is not a channel: sockets, frames, processes, files, the reactor, the machine.
//! (`pub export fn fable_…`: lib.zig, the header check and the generator reflect over public declarations.)
