package proxy

import "testing"

// What Chromium sends of a page at http://evil.test to the name of a target that leads to this machine: no Origin and no
// Fetch Metadata, because such an address is not trustworthy to it.
func TestP150APageIsRefusedWhereItsBrowserSaysNothingOfIt(t *testing.T) {
	o := newOutside(t, nil)
	const chromium = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36"
	for name, lines := range map[string][]string{
		"an image":    {chromium, "Accept: image/avif,image/webp,image/*,*/*;q=0.8", "Accept-Language: en-US,en;q=0.9", "Accept-Encoding: gzip, deflate"},
		"a script":    {chromium, "Accept: */*"},
		"a prefetch":  {chromium, "Accept: */*", "Purpose: prefetch"},
		"small print": {"User-Agent: mozilla/5.0"},
		"a frame":     {"User-Agent: own", "Upgrade-Insecure-Requests: 1"},
		"client hint": {"User-Agent: own", `Sec-Ch-Ua: "Chromium";v="156"`},
	} {
		t.Run(name, func(t *testing.T) {
			o.twice(t, "GET", "/x", append([]string{"Host: data.local"}, lines...), func(o *outside, a answer) { o.refused(a, 403) })
			o.twice(t, "GET", "/data/x", lines, func(o *outside, a answer) { o.refused(a, 403) })
			o.twice(t, "GET", "http://data.local/x", lines, func(o *outside, a answer) {
				o.refused(a, 403, 400, 0)
			})
		})
	}
	for _, program := range []string{"curl/8.5.0", "python-requests/2.32", "node", "Go-http-client/2.0", "Not Mozilla/5.0", ""} {
		o.passed(o.call("GET", "/data/x", "User-Agent: "+program, "Accept-Language: de", "Accept: */*"))
	}
}
