// Package approval holds the nouns of approving a single request, which travel between the proxy, which holds
// the request back, and the flow that asks the person: neither imports the other.
//
// Start at [Question], what is asked, and [Approval], what became of it.
package approval

import "time"

// Fingerprint stands for one request, byte for byte: a hash.
type Fingerprint [32]byte

// Question is what a person is asked on another device.
type Question struct {
	Fingerprint Fingerprint
	Message     string        // shown on both screens, exactly so
	Request     string        // "POST /payments", for our page
	Back        string        // path of the page that a browser came from; "" = not known
	Held        []byte        // the request of a browser, which comes for its answer with empty hands; nil of a program
	Asked       time.Time     // as of when the message was made; whole seconds
	Expires     time.Duration // how long the person has
	Client      string        // address of the caller; "" = not known
}

// Approval is what became of a Question.
type Approval struct {
	ID          string // letters, digits, "-" and "_"; not secret, and of no use to other callers
	Status      string // Pending, Approved …
	Fingerprint Fingerprint
	Message     string
	Request     string
	Back        string
	Asked       time.Time
	ExpiresIn   time.Duration // 0 = over
	Interval    time.Duration // until it makes sense to look again
	Trouble     bool          // pending, but the provider does not answer just now
	Held        bool          // a request is kept
}

// The states of an approval, in the words of CONTRACT §5. What failed is denied.
const (
	Pending  = "pending"
	Approved = "approved" // and not used yet
	Denied   = "denied"
	Expired  = "expired"
	Used     = "used"
)
