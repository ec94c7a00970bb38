// Package store is where bytes live: sessions, marks of what was used once, counters, and
// documents that should survive a restart.
//
// [Store] is the contract, and its comments are all of it; package storetest is the same as
// tests, for whoever adds a store. There are two:
//
//   - [Memory] ends with its process and has a limit, so that nobody can fill the machine;
//   - [Bolt] is one file, for one process at a time. What it has acknowledged survives
//     kill -9. Concurrent writes share one transaction and one sync of the disk.
//
// A store knows bytes, not sessions and not people. It encrypts nothing: what must not be
// read in a file or in a backup is sealed before it comes here. It never answers "no such
// key" when it means "I can't tell": that is [ErrUnavailable] (R23). It throws no entry out
// before its time to make room for another one.
//
// Start reading at [Store] in store.go, then memory.go; bolt_writer.go is how writes are
// grouped, bolt_tables.go what lies in the file.
package store
