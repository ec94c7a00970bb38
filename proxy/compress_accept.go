package proxy

import "strings"

// coding is a content coding (RFC 9110 §8.4.1).
type coding int

const (
	noCoding coding = iota
	gzipCoding
	zstdCoding
	identityCoding // stands for itself in Accept-Encoding only
	codings        // how many there are
)

var codingNames = [codings][]string{gzipCoding: {"gzip"}, zstdCoding: {"zstd"}, identityCoding: {"identity"}}

func (c coding) String() string { return c.values()[0] }

// values is the header that names it, made once.
func (c coding) values() []string { return codingNames[c] }

const unsaid = -1

// accepted chooses by Accept-Encoding (RFC 9110 §12.5.3): what the client likes best of what is offered, and of several that it
// likes as much the one that is offered first. Who says nothing gets what every client understands.
func accepted(lines []string, offered []coding) coding {
	weights := [codings]int{unsaid, unsaid, unsaid, unsaid}
	for _, line := range lines {
		for line != "" {
			var element string
			element, line, _ = strings.Cut(line, ",")
			name, parameters, _ := strings.Cut(element, ";")
			if c, ok := codingNamed(strings.Trim(name, " \t")); ok {
				w := weight(parameters)
				if weights[c] == unsaid || w < weights[c] { // who says two things is taken at the lesser
					weights[c] = w
				}
			}
		}
	}
	chosen, best := noCoding, 0
	for _, c := range offered {
		w := weights[c]
		if w == unsaid {
			w = weights[noCoding] // "*"
		}
		if w > best {
			chosen, best = c, w
		}
	}
	if weights[identityCoding] > best {
		return noCoding
	}
	return chosen
}

// codingNamed knows "*" as noCoding, and "x-gzip" as gzip (RFC 9110 §8.4.1.3).
func codingNamed(name string) (coding, bool) {
	switch {
	case name == "*":
		return noCoding, true
	case strings.EqualFold(name, "gzip"), strings.EqualFold(name, "x-gzip"):
		return gzipCoding, true
	case strings.EqualFold(name, "zstd"):
		return zstdCoding, true
	case strings.EqualFold(name, "identity"):
		return identityCoding, true
	}
	return noCoding, false
}

// weight is a qvalue in thousandths (RFC 9110 §12.4.2). One that is malformed asks for nothing.
func weight(parameters string) int {
	parameters = strings.Trim(parameters, " \t")
	if parameters == "" {
		return 1000
	}
	if len(parameters) < 3 || len(parameters) > 7 || parameters[0]|0x20 != 'q' || parameters[1] != '=' {
		return 0
	}
	whole, fraction := parameters[2], parameters[3:]
	if whole != '0' && whole != '1' || fraction != "" && fraction[0] != '.' {
		return 0
	}
	w := int(whole-'0') * 1000
	for i, unit := 1, 100; i < len(fraction); i, unit = i+1, unit/10 {
		if fraction[i] < '0' || fraction[i] > '9' {
			return 0
		}
		w += int(fraction[i]-'0') * unit
	}
	if w > 1000 {
		return 0
	}
	return w
}
