package proxy

import (
	"math"
	"strconv"
	"time"
)

// grpcUnits are those of a Grpc-Timeout (gRPC's "PROTOCOL-HTTP2").
var grpcUnits = map[byte]time.Duration{'H': time.Hour, 'M': time.Minute, 'S': time.Second, 'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond}

// grpcTimeout reads one: at most eight digits and a unit.
func grpcTimeout(s string) (time.Duration, bool) {
	last := len(s) - 1
	if last < 1 || last > 8 || grpcUnits[s[last]] == 0 {
		return 0, false
	}
	unit := grpcUnits[s[last]]
	n, err := strconv.ParseUint(s[:last], 10, 32)
	return min(time.Duration(n), math.MaxInt64/unit) * unit, err == nil
}

// pastDeadline reports whether the time is over that a gRPC client has given its call. Servers reset the stream then, which
// is no failure of theirs, and none that a client should try again after.
func (v *visit) pastDeadline() bool {
	for _, s := range v.req.in.Header["Grpc-Timeout"] {
		limit, ok := grpcTimeout(s)
		return ok && time.Since(v.started()) >= limit
	}
	return false
}
