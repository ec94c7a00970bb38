package telemetry

import (
	"log/slog"
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// appendLine appends an access line as slog's JSON handler would write it, newline included. It
// exists because that handler takes two to three times as long (see BenchmarkHandler).
func appendLine(dst []byte, at time.Time, level slog.Level, attrs []slog.Attr) []byte {
	dst = append(dst, `{"time":"`...)
	dst = at.AppendFormat(dst, time.RFC3339Nano)
	dst = append(dst, `","level":"`...)
	dst = append(dst, level.String()...)
	dst = append(dst, `","msg":"`+message+`"`...)
	for i := range attrs {
		dst = append(dst, ',', '"')
		dst = append(dst, attrs[i].Key...)
		dst = append(dst, '"', ':')
		switch v := attrs[i].Value; v.Kind() {
		case slog.KindInt64:
			dst = strconv.AppendInt(dst, v.Int64(), 10)
		case slog.KindFloat64:
			dst = strconv.AppendFloat(dst, v.Float64(), 'f', -1, 64)
		default:
			dst = appendString(dst, v.String())
		}
	}
	return append(dst, '}', '\n')
}

// appendString appends s as a JSON string. Beyond what JSON asks for, it escapes all that isn't
// visible: what a terminal would obey (C1 controls, DEL) and what would show text in another
// order than it has (bidirectional controls). Attack P190.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0 // where the bytes begin that stay as they are
	for i := 0; i < len(s); {
		c := s[i]
		if ' ' <= c && c < 0x7f && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[plain:i]...)
		r, size := utf8.DecodeRuneInString(s[i:])
		dst = appendRune(dst, r)
		i += size
		plain = i
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

func appendRune(dst []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(dst, '\\', byte(r))
	case r == '\n':
		return append(dst, '\\', 'n')
	case r == '\r':
		return append(dst, '\\', 'r')
	case r == '\t':
		return append(dst, '\\', 't')
	case unicode.IsPrint(r): // as well as U+FFFD, which stands for invalid bytes
		return utf8.AppendRune(dst, r)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnit(appendUnit(dst, high), low)
	}
	return appendUnit(dst, r)
}

func appendUnit(dst []byte, u rune) []byte {
	const hex = "0123456789abcdef"
	return append(dst, '\\', 'u', hex[u>>12&15], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

const ellipsis = "…"

// bounded returns s, cut to at most limit bytes at the border of a character and with an ellipsis
// if it is longer.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
