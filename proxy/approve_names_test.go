package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/doorward/doorward/proxy/policy"
)

// What has() does not find, an application must not find either, wherever and however it may be written.
func TestWhatTheMessageLooksForIsWrittenInOneWayOnly(t *testing.T) {
	const (
		form    = "application/x-www-form-urlencoded"
		order   = `has(form.urgent) ? "URGENT-" + form.order : "ORDER-" + form.order`
		orderJS = `has(json.is_urgent) ? "URGENT-" + json.to.account : "ORDER-" + json.to.account`
		indexed = `"urgent" in form || "a" in form && form["a"] == "1" ? "U" : "O"`
		listed  = `json.items.all(i, has(i.gift)) ? "GIFTS" : "ITEMS"`
		query   = `"id" in request.query ? "READ-" + request.query.id[0] : "READ-ALL"`
		header  = `"X-" + request.header["x-kind"][0]`
	)
	for what, c := range map[string]struct {
		message, contentType, query, body string
		header                            http.Header
		refused                           bool
	}{
		"as it is looked for":          {order, form, "x=1", "order=5&urgent=1", nil, false},
		"not there":                    {order, form, "x=1", "order=5&other=1", nil, false},
		"in the address":               {order, form, "urgent=1", "order=5", nil, true},
		"in the address, as a list":    {order, form, "urgent[]=1", "order=5", nil, true},
		"in the address, no body":      {order, form, "urgent=1", "", nil, true},
		"in another case":              {order, form, "", "order=5&Urgent=1", nil, true},
		"as a list":                    {order, form, "", "order=5&urgent[]=1", nil, true},
		"as an object":                 {order, form, "", "order=5&urgent[x]=1", nil, true},
		"with another separator":       {order, form, "", "order=5&ur.gent=1", nil, true},
		"an index":                     {indexed, form, "", "URGENT=1", nil, true},
		"another index":                {indexed, form, "", "A=1", nil, true},
		"JSON as it is looked for":     {orderJS, "application/json", "", `{"is_urgent":true,"to":{"account":"5"}}`, nil, false},
		"JSON in camels":               {orderJS, "application/json", "", `{"isUrgent":true,"to":{"account":"5"}}`, nil, true},
		"JSON in capitals":             {orderJS, "application/json", "", `{"IS_URGENT":true,"to":{"account":"5"}}`, nil, true},
		"JSON, further down":           {orderJS, "application/json", "", `{"to":{"account":"5","Account":"6"}}`, nil, true},
		"JSON, further down only":      {orderJS, "application/json", "", `{"to":{"Account":"6"}}`, nil, true},
		"JSON, the address":            {orderJS, "application/json", "IsUrgent=1", `{"to":{"account":"5"}}`, nil, true},
		"JSON, the address further in": {orderJS, "application/json", "account=1", `{"to":{"account":"5"}}`, nil, false},
		"in a list":                    {listed, "application/json", "", `{"items":[{"gift":1},{"GIFT":2}]}`, nil, true},
		"a query as it is looked for":  {query, form, "id=7", "x=1", nil, false},
		"a query in another case":      {query, form, "ID=7", "", nil, true},
		"a query in the form":          {query, form, "id=7", "id=8", nil, true},
		"a query in the form only":     {query, form, "", "id=8", nil, true},
		"a query in JSON":              {query, "application/json", "id=7", `{"Id":8}`, nil, true},
		"a query and a packed form":    {query, form, "id=7", "x=1", http.Header{"Content-Encoding": {"gzip"}}, true},
		"a query and something else":   {query, "image/png", "id=7", "id=8", nil, false},
		"a query and something packed": {query, "image/png", "id=7", "id=8", http.Header{"Content-Encoding": {"gzip"}}, false},
		"a header once":                {header, "image/png", "id=7&id=8", "x", http.Header{"X-Kind": {"a"}}, false},
		"a header twice":               {header, "image/png", "", "x", http.Header{"X-Kind": {"a", "b"}}, true},
		"another header twice":         {header, "image/png", "", "x", http.Header{"X-Other": {"a", "b"}, "X-Kind": {"a"}}, false},
		"a name that PHP turns":        {order, form, "", "order=5&a[b=1", nil, true},
		"a name that PHP cuts":         {order, form, "", "order=5&a[b]c=1", nil, true},
		"a name that begins so":        {order, form, "", "order=5&[a]=1", nil, true},
		"a name that ends so":          {order, form, "", "order=5&a]=1", nil, true},
		"a name in a name":             {order, form, "", "order=5&a[b[c]]=1", nil, true},
		"names that are well":          {order, form, "", "order=5&a[b][]=1&a[c][d]=2", nil, false},
		"a member that ends at NUL":    {orderJS, "application/json", "", `{"to":{"account":"5","account\u0000":"6"}}`, nil, true},
	} {
		t.Run(what, func(t *testing.T) {
			m := readsOf(must(policy.NewText(c.message)))
			h := http.Header{"Content-Type": {c.contentType}}
			for name, values := range c.header {
				h[name] = values
			}
			if _, refusal := m.fields(h, c.query, []byte(c.body)); (refusal != "") != c.refused {
				t.Errorf("%q", refusal)
			}
		})
	}
}

func TestS18WhatIsParsedIsBounded(t *testing.T) {
	fields := strings.Repeat("&x%d=1", maxFields+1)
	numbers := make([]any, maxFields+1)
	for i := range numbers {
		numbers[i] = i
	}
	many := fmt.Sprintf(fields, numbers...)[1:]
	if _, refusal := parseForm(many); refusal == "" {
		t.Error("PHP reads the first thousand fields only")
	}
	if _, refusal := parseForm(many[:strings.LastIndexByte(many, '&')]); refusal != "" {
		t.Error(refusal)
	}
	if _, refusal := parseJSON("[" + strings.Repeat("1,", maxMembers-2) + "1]"); refusal != "" {
		t.Error(refusal)
	}
	if _, refusal := parseJSON("[" + strings.Repeat("1,", maxMembers-1) + "1]"); refusal == "" {
		t.Error("any number of members")
	}
}
