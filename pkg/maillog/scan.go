package maillog

import "bytes"

// has reports whether b begins with p.
func has(b []byte, p string) bool {
	return len(b) >= len(p) && string(b[:len(p)]) == p
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
// ten letters and digits with a 'z' in it, which is what keeps "warning: "
// and host names out.
func queueID(b []byte) (id, rest []byte, ok bool) {
	if has(b, "NOQUEUE: ") {
		return nil, b[9:], true
	}
	hex, long, i := true, false, 0
	for ; i < len(b) && idByte[b[i]]; i++ {
		if c := b[i]; c > 'F' {
			hex = false
			long = long || c == 'z'
		} else if c <= '9' {
			long = true
		}
	}
	if i+1 >= len(b) || b[i] != ':' || b[i+1] != ' ' {
		return nil, b, false
	}
	if hex && i >= 6 || long && i >= 10 {
		return b[:i], b[i+2:], true
	}
	return nil, b, false
}

// idByte holds the bytes of a queue ID, nameByte those of a verified host
// name (valid_hostname of Postfix).
var idByte, nameByte = func() (id, name [256]bool) {
	for c := range 256 {
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		id[c] = alnum
		name[c] = alnum || c == '.' || c == '-' || c == '_'
	}
	return id, name
}()
