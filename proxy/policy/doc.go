// Package policy decides who may pass a route, and says what a person is asked to approve.
//
// It judges identities that somebody else has proved: groups, verified e-mail addresses
// and their domains, roles, subjects, scopes, clients and any other claim, by lists of exact values, and of a request
// the method and the network that it comes from.
// There are no patterns, so none can match too much (attack P205). A [Policy] asks its deny list first, names the
// rule that let somebody pass or refused them, and says in words which rules there are when none has matched. An entry that
// can never decide is an error ([Overlaps]).
//
// Where lists don't reach there are expressions in CEL, compiled and type-checked once: a [Text] makes the
// message of an approval, a [Requirement] says yes or no beside the rules. What they look at is an [Input], made of the canonical request
// and never of a raw one. They have no side effects, their work is bounded, and a field that isn't there is
// an error and no empty text.
//
// The package never shows anything and asks nobody. Start at [Rule] and [Policy.Check], or at [NewText] and [NewRequirement].
package policy
