// Package pages is everything that Doorward itself shows: HTML to people, problem+json to
// programs, and the few files that the HTML needs.
//
// Handlers return errors, and [Pages.Error] is the one place where an error becomes an
// answer. The answer's code is one of the list in codes.go, which also says what status it
// has, whose fault it is and what a person can do; docs/errors.md is the same list for
// operators, and a test compares the two. The cause of an error goes to the access log under
// the reference that the caller sees, and nowhere else (P193). [KindOf] decides who is asking:
// a person's navigation, a form, or a program.
//
// A page is one small document: nothing from another host, under a policy that names the hash of
// the one style sheet, and of the one script if there is one, that it holds (S17). Script only saves a
// person a click or a reload: pages that wait ask for news with it, and load themselves anew
// without it. What needs it is a fragment, that no server sees otherwise. A page can be used at 320
// pixels, on a TV across the room, with a keyboard, with a screen reader, and in both colour schemes.
//
// The package never logs, never sets a cookie, never decides where a browser may go, and
// never answers twice: if the answer has begun, it leaves it alone. It trusts no text: what
// it is given is escaped, cleaned of control characters and cut.
//
// Start at [Pages.Error] in write.go and, for pages, at document.go. Their words are in templates/,
// those that depend on what has happened in codes.go and waiting.go.
package pages
