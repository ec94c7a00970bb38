package proxy

// Approver asks people for their consent to single requests.
type Approver interface{}
