package proxy

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
)

// BenchmarkEgressAddress is what finding a target costs.
func BenchmarkEgressAddress(b *testing.B) {
	o := newOutside(b, func(_ *outside, c *EgressConfig, d *EgressDeps) {
		c.Self = []string{"127.0.0.1:4182"}
		c.Targets = []EgressTarget{{Name: "data", Host: "data.local", Upstreams: []*url.URL{address("https://api.test")}, Credential: "service"}}
	})
	for name, at := range map[string][2]string{"path": {"/data/v1/orders", "127.0.0.1:4182"}, "host": {"/v1/orders", "data.local"}, "absolute": {"http://api.test/v1/orders", "api.test"}} {
		b.Run(name, func(b *testing.B) {
			r := asked("GET", at[0], at[1])
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				c := call{in: r}
				if err := o.egress.directory.find(w, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkEgress is the whole path of a request but for the upstream.
func BenchmarkEgress(b *testing.B) {
	o := newOutside(b, nil)
	way := roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	for _, t := range o.egress.directory.paths["data"] {
		t.transport = way
	}
	r := asked("GET", "/data/v1/orders", o.self)
	b.ReportAllocs()
	for b.Loop() {
		o.egress.ServeHTTP(&discarded{h: http.Header{}}, r)
	}
}

type discarded struct{ h http.Header }

func (d *discarded) Header() http.Header         { return d.h }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
func (d *discarded) Flush()                      {}

func TestFindingATargetAllocatesNothing(t *testing.T) {
	o := newOutside(t, nil)
	for _, host := range []string{o.self, "data.local"} {
		r := asked("GET", "/data/v1/orders", host)
		c := &call{}
		if n := testing.AllocsPerRun(100, func() {
			*c = call{in: r}
			if err := o.egress.directory.find(nil, c); err != nil {
				t.Error(err)
			}
		}); n > 0 {
			t.Errorf("%s: %v allocations", host, n)
		}
	}
}
