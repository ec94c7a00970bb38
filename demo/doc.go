// Package demo holds the sample applications of `doorward demo`: a landing page that explains the seven flows and plays
// those for people, the applications of the examples behind the gateway, and for each example a page with the messages that it
// really exchanged (demo/sequence).
//
// It decides nothing and protects nothing; the gateway in front does. Its pages load nothing from anywhere, and work
// without script. Only cmd and tests import it. Start reading at landing.go, flows.go and apps.go; examples.go says how a
// message is recognised as one of an example. The identity provider is in demo/idp.
package demo
