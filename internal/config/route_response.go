package config

import "github.com/doorward/doorward/proxy"

func responseHeadersKeys() *spec {
	return &spec{form: tables, keys: map[string]*spec{
		"set": {form: texts}, "default": {form: texts}, "remove": {form: list},
	}}
}

// response reads what of a route's answers is changed. The route's own constructor judges names and values.
func (t table) response() proxy.Response {
	h := t.table("response_headers")
	if h.node != nil && len(h.node.keys) == 0 {
		t.wrong("response_headers", "it is empty; name one of set, default and remove, or leave it out")
	}
	r := proxy.Response{Set: h.strings("set"), Default: h.strings("default"), Remove: h.list("remove"), Compress: t.list("compress")}
	if t.value("compress") != nil && len(r.Compress) == 0 {
		t.wrong("compress", "the list is empty; leave it out to compress nothing")
	}
	return r
}
