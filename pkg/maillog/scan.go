package maillog

import "bytes"

// has reports whether b begins with p.
func has(b []byte, p string) bool {
	return len(b) >= len(p) && (len(p) == 0 || b[0] == p[0]) && string(b[:len(p)]) == p
}

// ends reports whether b ends with s.
func ends(b []byte, s string) bool {
	return len(b) >= len(s) && string(b[len(b)-len(s):]) == s
}

// cut returns b without the prefix p.
func cut(b []byte, p string) ([]byte, bool) {
	if has(b, p) {
		return b[len(p):], true
	}
	return b, false
}

// word splits b at its first blank; rest is nil when there is none.
func word(b []byte) (w, rest []byte) {
	if i := bytes.IndexByte(b, ' '); i >= 0 {
		return b[:i], b[i+1:]
	}
	return b, nil
}

// number reads the decimal digits at the start of b; the value saturates at
// 1<<31. ok is false when there are none.
func number(b []byte) (n uint32, rest []byte, ok bool) {
	i := 0
	for i < len(b) && b[i]-'0' <= 9 {
		if n < 1<<31/10 {
			n = n*10 + uint32(b[i]-'0')
		} else {
			n = 1 << 31
		}
		i++
	}
	return n, b[i:], i > 0
}

// digits reports whether b is not empty and holds decimal digits only.
func digits(b []byte) bool {
	_, rest, ok := number(b)
	return ok && len(rest) == 0
}

// queueID takes "QID: " off the start of b; id is nil for NOQUEUE. A short ID
// is upper-case hexadecimal; a long one (enable_long_queue_ids) is at least
// ten letters and digits with a digit or a 'z' among them, which is what keeps
// "warning: " and host names out.
func queueID(b []byte) (id, rest []byte, ok bool) {
	if has(b, "NOQUEUE: ") {
		return nil, b[9:], true
	}
	if len(b) >= 18 && b[0]-'0' <= 9 { // a long one, most likely
		i := first(noAlnum(load(b, 0)))
		if i == 8 {
			i += first(noAlnum(load(b, 8)))
		}
		if i >= 10 && b[i] == ':' && b[i+1] == ' ' {
			return b[:i], b[i+2:], true
		}
	}
	// Which classes all of its bytes have, and which any of them has.
	all, some, i := byte(255), byte(0), 0
	for ; i < len(b); i++ {
		class := idClass[b[i]]
		if class == 0 {
			break
		}
		all &= class
		some |= class
	}
	if i+1 >= len(b) || b[i] != ':' || b[i+1] != ' ' {
		return nil, b, false
	}
	if all&idHex != 0 && i >= 6 || some&idLong != 0 && i >= 10 {
		return b[:i], b[i+2:], true
	}
	return nil, b, false
}

// Classes of the bytes of a queue ID.
const (
	idAny  byte = 1 << iota // letters and digits
	idHex                   // upper-case hexadecimal
	idLong                  // what a long ID has at least one of
)

// idClass holds the classes of a byte, nameByte those that a verified host
// name is made of (valid_hostname of Postfix).
var idClass, nameByte = func() (id [256]byte, name [256]bool) {
	for c := range 256 {
		digit := c >= '0' && c <= '9'
		if digit || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
			id[c] = idAny
			name[c] = true
		}
		if digit || c >= 'A' && c <= 'F' {
			id[c] |= idHex
		}
		if digit || c == 'z' {
			id[c] |= idLong
		}
	}
	name['.'], name['-'], name['_'] = true, true, true
	return id, name
}()
