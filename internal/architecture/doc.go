// Package architecture holds no code, only the test that keeps the directions of
// imports: two wings stand side by side (flows over provider and sessions, proxy over
// policy) with no arrow between them, cmd joins them, internal/identity lies beneath.
//
// A forbidden import is listed with its reason in imports_test.go. Start there when the
// test refuses one, and read docs/architecture.md for the whole picture.
package architecture
