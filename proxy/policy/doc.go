// Package policy decides who may pass a route.
//
// It judges identities that somebody else has proved: groups, verified e-mail addresses
// and their domains, subjects, scopes and any other claim, by lists of exact values.
// There are no patterns, so none can match too much (attack P205). A [Policy] names the
// rule that let somebody pass, and says in words which rules there are when it refuses.
//
// The package never sees a request, never shows anything and asks nobody. Start at
// [Rule] and [Policy.Check].
package policy
