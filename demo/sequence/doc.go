// Package sequence records the messages that a run of the demo really exchanges, so that its pages can show them:
// who sent what to whom, with which parameters, what was answered, and when.
//
// [Log.Record] wraps the handlers of the gateway, of the provider and of the applications. Bodies pass unharmed
// and unbuffered; a bounded copy is read afterwards. Nothing that is secret enters a [Message]: a
// parameter is shown only if its name is known to be harmless (redact.go), and everything else is kept as its kind and a short
// fingerprint under a key of this run, by which one sees that the same token comes by again. Memory is bounded.
//
// It is for the demo alone: only cmd and the demo's pages import it, and a gateway in production has nothing
// of it in the path of a request. Start reading at log.go and record.go.
package sequence
