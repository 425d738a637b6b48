package maillog

import "unicode/utf8"

// unescape takes the JSON escapes out of the Message of a docker json-file
// line, in fresh memory: the line must not be written to, and a buffer inside
// Event would be shared by its copies. ok is false for an escape that JSON
// does not know.
func unescape(ev *Event) (ok bool) {
	if !ev.escaped {
		return true
	}
	ev.escaped = false
	in := ev.Text(Message)
	at := len(ev.line)
	if s := ev.texts[Message]; s.n > 0 {
		at = int(s.at)
	}
	out := append(make([]byte, 0, len(ev.line)), ev.line[:at]...) // what stands in front keeps its place
	for i := 0; i < len(in); i++ {
		c := in[i]
		if c != '\\' {
			out = append(out, c)
			continue
		}
		i++
		if i == len(in) {
			return false
		}
		switch in[i] {
		case '"', '\\', '/':
			out = append(out, in[i])
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, '?') // as Postfix writes control bytes
		case 'u':
			if i+4 >= len(in) {
				return false
			}
			r := rune(0)
			for _, h := range in[i+1 : i+5] {
				if h >= 'A' && h <= 'F' {
					h += 'a' - 'A'
				}
				v := hexValue[h]
				if v > 15 {
					return false
				}
				r = r<<4 | rune(v)
			}
			i += 4
			if r < ' ' {
				r = '?'
			}
			out = utf8.AppendRune(out, r)
		default:
			return false
		}
	}
	ev.line = out
	ev.set(Message, out[at:])
	return true
}
