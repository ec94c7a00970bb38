// Package config reads the configuration: a TOML file, the environment and --set, to typed
// and validated values, of which it composes the Config of every other package.
//
// [Load] takes four steps. parse.go makes a tree in which every key and value knows where
// it was written. env.go lays the environment and --set over it. schema.go holds the tree
// against the one list of keys, and expands ${env:…}, ${file:…} and ${cred:…} on the way.
// Then each table is read by a file of its own name, and compose.go puts the results
// together. What is wrong is collected, never returned early, so that [Error] tells
// everything at once, by file and line, with the place underlined.
//
// A key exists only once it works. One that the contract promises for later is refused by
// name, and nothing is ever ignored: in the TOML library's own decoding, keys match without
// regard to case, and some errors have no position, so only its parser is used.
//
// The package opens the files that the configuration names and nothing else: no store, no
// listener, no network. It never prints a value of a secret key, nor the rest of a line in
// which something is wrong.
//
// Start at [Load] in load.go, then schema.go, then any table, such as route.go. A new key is
// an entry in the keys of its table, a line where the table is read, and one in
// config.example.toml.
package config
