// Package secret holds the one type in which Doorward keeps tokens, client secrets,
// passwords and keys: a string that cannot be printed.
//
// Every way in which Go turns a value into text (fmt with any verb, encoding/json,
// encoding.TextMarshaler, log/slog, reflection over an unexported field) yields
// "[redacted]" or an address, never the content. The content leaves only through
// [String.Reveal], so `grep -rn Reveal` lists every place where a secret can escape.
//
// The package never stores, compares or derives anything beyond that. Start at [String].
package secret
