"""Fetches every section of every message of bob's INBOX with imaplib, and compares what comes with what the email package
finds in the file. Arguments: host, port, the Maildir, and a file with lines of a base name, a tab and what the message is called.
Prints how many sections agree, or what does not."""

import email
import email.message
import email.utils
import imaplib
import os
import sys

# Where the email package sees something else in a message, and why. Each of them has to differ.
DIFFERS = {
    'colon first': 'a field has a name (RFC 5322 section 2.2): it passes over a line without one',
    'empty-parts': 'it passes over parts without any octet',
    'encoded-message': 'a message must not be encoded (RFC 2046 section 5.2.1): it reads the encoded text as a message',
    'escape sequences': 'a bracket stands in no name (RFC 5322 section 3.2.3): it makes two addresses of it',
    'half a boundary': 'a boundary has an octet at least (RFC 2046 section 5.1.1): it takes the empty one',
    'leading-space': 'a header can not begin with a continuation: it passes over the line',
    'lone-cr': 'it takes a lone CR for a line end',
    'never-closed': 'the line end before a delimiter is no part of the text: it leaves it out where no delimiter follows',
    'obsolete-syntax': 'white space may stand before a colon (RFC 5322 section 4.5.8): it takes that for the body',
    'only CR': 'it takes a lone CR for a line end',
    'same-boundary': 'an inner multipart may end before the outer one: it takes the first end for both',
    'ten thousand deep': 'its parser gives up',
}

imaplib._MAXLINE = 100_000_000
problems = []


class Reader:
    """Reads the lists, strings, numbers and section names of a response."""

    def __init__(self, octets):
        self.octets, self.at = octets, 0

    def atom(self):
        start, within = self.at, 0
        while self.at < len(self.octets):
            octet = self.octets[self.at:self.at + 1]
            if octet == b'[':
                within += 1
            elif octet == b']':
                within -= 1
            elif octet in b' ()\r' and not within:
                break
            self.at += 1
        return self.octets[start:self.at]

    def value(self):
        """One value; lists within lists without recursion."""
        lists = []
        while True:
            while self.octets[self.at:self.at + 1] == b' ':
                self.at += 1
            first = self.octets[self.at:self.at + 1]
            if first == b'(':
                self.at += 1
                lists.append([])
                continue
            if first == b')':
                self.at += 1
                value = lists.pop()
            elif first == b'"':
                value = bytearray()
                self.at += 1
                while (octet := self.octets[self.at:self.at + 1]) != b'"':
                    if not octet:
                        raise ValueError('a string without an end')
                    if octet == b'\\':
                        self.at += 1
                        octet = self.octets[self.at:self.at + 1]
                    value += octet
                    self.at += 1
                self.at += 1
                value = bytes(value)
            elif first == b'{':
                end = self.octets.index(b'}\r\n', self.at)
                size, start = int(self.octets[self.at + 1:end]), end + 3
                value = self.octets[start:start + size]
                if len(value) != size:
                    raise ValueError('a literal without an end')
                self.at = start + size
            elif not first:
                raise ValueError('a list without an end')
            else:
                atom = self.atom()
                if not atom:
                    raise ValueError('no value at %r' % self.octets[self.at:self.at + 20])
                value = None if atom == b'NIL' else int(atom) if atom.isdigit() else atom
            if not lists:
                return value
            lists[-1].append(value)


def fetch(server, number, items):
    """What is fetched of one message, by its names."""
    said, parts = server.fetch(str(number), '(' + ' '.join(items) + ')')
    if said != 'OK':
        raise ValueError('FETCH %s: %s' % (items, parts))
    octets = b''
    for part in parts:
        octets += part[0] + b'\r\n' + part[1] if isinstance(part, tuple) else part
    reader = Reader(octets)
    reader.value()  # the number
    found = reader.value()
    if reader.octets[reader.at:] != b'':
        raise ValueError('behind the response: %r' % reader.octets[reader.at:][:80])
    return dict(zip(found[::2], found[1::2]))


def wire(octets):
    return octets.replace(b'\r\n', b'\n').replace(b'\n', b'\r\n').replace(b'\0', b'\x80')


def raw(text):
    return text.encode('ascii', 'surrogateescape')


def fields(message):
    return [(name, raw(str_of(value))) for name, value in message.raw_items()]


def str_of(value):
    return value if isinstance(value, str) else str(value)


def first(message, name):
    """The octets of a field's first body, unfolded."""
    for other, value in message.raw_items():
        if other.lower() == name:
            return raw(value).replace(b'\r\n', b'').replace(b'\n', b'').strip()
    return None


def is_multipart(part):
    return part.is_multipart() and part.get_content_maintype() == 'multipart'


def is_message(part):
    return part.is_multipart() and part.get_content_type() in ('message/rfc822', 'message/global')


def numbered(message):
    """Every part with its number (RFC 3501 section 6.4.5)."""
    found, left = [], [(message, '', True)]
    while left:
        part, number, is_root = left.pop()
        inner = number + '.' if number else ''
        if is_root and not is_multipart(part):
            number = inner + '1'
            inner = number + '.'
        if not is_root or not is_multipart(part):
            found.append((number, part))
        if is_multipart(part):
            left.extend((child, inner + str(place), False) for place, child in enumerate(part.get_payload(), 1))
        elif is_message(part):
            left.append((part.get_payload(0), number, True))
    return found


def content(part):
    """The octets of a leaf."""
    return None if part.is_multipart() else raw(part._payload or '')


def shape(part):
    """What a part is, all the way down."""
    kinds = []
    for one in part.walk():
        kinds.append((one.get_content_type(), fields(one), content(one)))
    return kinds


def valued(text):
    """The value of a field with parameters, and those."""
    if text is None:
        return None
    words = email.message._parseparam(text.decode('ascii', 'surrogateescape'))
    params = []
    for word in words[1:]:
        name, equals, value = word.partition('=')
        if equals:
            params.append((raw(name.strip().lower()), raw(email.utils.unquote(value.strip()))))
    return raw(words[0].strip().lower()), params


def pairs(listed):
    return list(zip([name.lower() for name in listed[::2]], listed[1::2])) if listed else []


def structure(part, said, sections, number, told):
    """Compares a part with its BODYSTRUCTURE."""
    def equal(what, ours, theirs):
        if ours != theirs:
            told('BODYSTRUCTURE of %s, %s: %r, not %r' % (number or 'it', what, ours, theirs))

    def extension(said):
        disposition = valued(first(part, 'content-disposition'))
        ours = said[0] and (said[0][0].lower(), pairs(said[0][1]))
        equal('disposition', ours, disposition)
        equal('location', said[2], first(part, 'content-location'))

    value = valued(first(part, 'content-type'))
    params = value[1] if value else []
    if is_multipart(part):
        children = [one for one in said if isinstance(one, list) and one and isinstance(one[0], (list, bytes))]
        count = len(part.get_payload())
        at = 0
        while at < len(said) and isinstance(said[at], list):
            at += 1
        equal('parts', at, count)
        equal('subtype', said[at].lower(), raw(part.get_content_subtype()))
        equal('parameters', pairs(said[at + 1]), params)
        extension(said[at + 2:])
        return list(zip(part.get_payload(), children[:at]))
    kind = part.get_content_type()
    if part.get_content_maintype() == 'multipart':
        kind, params = 'text/plain', None
    equal('type', said[0].lower() + b'/' + said[1].lower(), raw(kind))
    if params is not None:
        ours = pairs(said[2])
        if kind.startswith('text/') and not any(name == b'charset' for name, _ in params):
            ours = [pair for pair in ours if pair != (b'charset', b'us-ascii')]
        if value and b'/' not in value[0]:
            params = ours
        equal('parameters', ours, params)
    equal('id', said[3], first(part, 'content-id'))
    equal('description', said[4], first(part, 'content-description'))
    encoding = first(part, 'content-transfer-encoding')
    equal('encoding', said[5].lower(), (encoding or b'7bit').lower())
    octets = sections[number]
    equal('octets', said[6], len(octets))
    at = 7
    if is_message(part):
        inner = part.get_payload(0)
        envelope(inner, said[7], lambda text: told('%s in BODYSTRUCTURE of %s' % (text, number)))
        structure_of = [(inner, said[8])]
        equal('lines', said[9], octets.count(b'\n'))
        at = 10
    else:
        structure_of = []
        if kind.startswith('text/'):
            equal('lines', said[7], octets.count(b'\n'))
            at = 8
    equal('md5', said[at], first(part, 'content-md5'))
    extension(said[at + 1:])
    return structure_of


def structures(message, said, sections, told):
    """The same for all parts of a message."""
    left = [(message, said, '', True)]
    while left:
        part, said, number, is_root = left.pop()
        inner = number + '.' if number else ''
        if is_root and not is_multipart(part):
            number = inner + '1'
        below = structure(part, said, sections, number, told)
        if is_message(part):
            left.extend((one, its, number, True) for one, its in below)
        else:
            inner = number + '.' if number else ''
            left.extend((one, its, inner + str(place), False) for place, (one, its) in enumerate(below, 1))


def addresses(text):
    """Names and addresses; groups are passed over."""
    if not text:
        return None
    text = [text.decode('ascii', 'surrogateescape')]
    try:
        # Its newer, strict reading gives up on lists that it finds odd.
        listed = email.utils.getaddresses(text, strict=False)
    except TypeError:
        listed = email.utils.getaddresses(text)
    return [(raw(name), raw(address)) for name, address in listed if address] or None


def envelope(message, said, told):
    for place, name in [(0, 'date'), (1, 'subject'), (8, 'in-reply-to'), (9, 'message-id')]:
        if said[place] != first(message, name):
            told('ENVELOPE, %s: %r, not %r' % (name, said[place], first(message, name)))
    sender = addresses(first(message, 'from'))
    for place, name in enumerate(['from', 'sender', 'reply-to', 'to', 'cc', 'bcc'], 2):
        theirs = addresses(first(message, name))
        if place in (3, 4):
            theirs = theirs or sender
        ours = said[place] and [
            (one[0] or b'', one[2] + (b'@' + one[3] if one[3] else b'')) for one in said[place] if one[3] is not None
        ] or None
        if ours != theirs:
            told('ENVELOPE, %s: %r, not %r' % (name, ours, theirs))


def judge(server, number, octets, sized, told, exact):
    """Compares one message; how many sections were. `exact` hears of what no reader may see in another way."""
    got = fetch(server, number, [
        'RFC822.SIZE', 'BODY.PEEK[]', 'BODY.PEEK[HEADER]', 'BODY.PEEK[TEXT]', 'ENVELOPE', 'BODYSTRUCTURE', 'BODY',
        'BODY.PEEK[HEADER.FIELDS (Subject FROM x-none)]', 'BODY.PEEK[HEADER.FIELDS.NOT (Subject FROM)]',
    ])
    whole = got[b'BODY[]']
    if whole != octets:
        exact('BODY[] is not the file: %r, not %r' % (whole[:200], octets[:200]))
    if sized and got[b'RFC822.SIZE'] != len(octets):
        exact('RFC822.SIZE is %d of %d' % (got[b'RFC822.SIZE'], len(octets)))
    header, text = got[b'BODY[HEADER]'], got[b'BODY[TEXT]']
    mbox = octets.startswith(b'From ') and not octets.startswith(b'From :')
    if not (octets.endswith(header + text) if mbox else octets == header + text):
        exact('HEADER and TEXT are not the message')
    message = email.message_from_bytes(octets)
    if fields(email.message_from_bytes(header)) != fields(message):
        told('HEADER: %r' % header[:300])
    if not message.is_multipart() and text != content(message):
        told('TEXT: %r, not %r' % (text[:200], content(message)[:200]))
    chosen = [name for name, _ in fields(message) if name.lower() in ('subject', 'from')]
    picked = got[b'BODY[HEADER.FIELDS (Subject FROM x-none)]']
    if fields(email.message_from_bytes(picked)) != [one for one in fields(message) if one[0] in chosen]:
        told('HEADER.FIELDS: %r' % picked[:300])
    others = got[b'BODY[HEADER.FIELDS.NOT (Subject FROM)]']
    if fields(email.message_from_bytes(others)) != [one for one in fields(message) if one[0] not in chosen]:
        told('HEADER.FIELDS.NOT: %r' % others[:300])
    envelope(message, got[b'ENVELOPE'], told)

    parts = numbered(message)
    sections, count = {}, 4
    for start in range(0, len(parts), 50):
        some = parts[start:start + 50]
        wanted = []
        for name, part in some:
            wanted += ['BODY.PEEK[%s]' % name, 'BODY.PEEK[%s.MIME]' % name]
            if is_message(part):
                wanted += ['BODY.PEEK[%s.HEADER]' % name, 'BODY.PEEK[%s.TEXT]' % name]
        found = fetch(server, number, wanted)
        for name, part in some:
            body, mime = found[raw('BODY[%s]' % name)], found[raw('BODY[%s.MIME]' % name)]
            if body is None or mime is None:
                told('%s is not there' % name)
                sections[name] = b''
                continue
            sections[name] = body
            if fields(email.message_from_bytes(mime)) != fields(part):
                told('%s.MIME: %r, not %r' % (name, mime[:300], fields(part)))
            if not part.is_multipart() and body != content(part):
                told('%s: %r, not %r' % (name, body[:200], content(part)[:200]))
            # The section by itself is the part that it was within the whole.
            # Its type by default it has from what it is in.
            default = part.get_default_type() != 'text/plain' and part.get('content-type') is None
            lead = raw('Content-Type: %s\r\n' % part.get_default_type()) if default else b''
            again = shape(email.message_from_bytes(lead + mime + body))
            if default:
                again[0] = (again[0][0], again[0][1][1:], again[0][2])
            if again != shape(part):
                told('%s is another part by itself' % name)
            count += 2
            if is_message(part):
                header, text = found[raw('BODY[%s.HEADER]' % name)], found[raw('BODY[%s.TEXT]' % name)]
                if header is None or text is None or header + text != body:
                    told('%s.HEADER and %s.TEXT are not %s' % (name, name, name))
                elif fields(email.message_from_bytes(header)) != fields(part.get_payload(0)):
                    told('%s.HEADER: %r' % (name, header[:300]))
                count += 2
    absent = 'BODY.PEEK[%d]' % (len(parts) + 1)
    if fetch(server, number, [absent])[raw(absent.replace('.PEEK', ''))] is not None:
        told('there is a section too many: ' + absent)
    structures(message, got[b'BODYSTRUCTURE'], sections, told)
    return count


def main():
    host, port, maildir, names = sys.argv[1:]
    with open(names, encoding='utf-8') as file:
        called = dict(line.rstrip('\n').split('\t', 1) for line in file)
    files = {}
    for part in ('new', 'cur'):
        for file in os.listdir(os.path.join(maildir, part)):
            with open(os.path.join(maildir, part, file), 'rb') as opened:
                files[file.split(':')[0]] = opened.read()
    server = imaplib.IMAP4(host, int(port))
    server.login('bob', 'builder')
    said, exists = server.select('INBOX', readonly=True)
    # Which message is which file stands in the list of UIDs.
    with open(os.path.join(maildir, 'dovecot-uidlist'), 'rb') as opened:
        listed = [line.rstrip(b'\n').split(b' :', 1) for line in opened.readlines()[1:]]
    bases = {int(line[0].split(b' ')[0]): os.fsdecode(line[1]) for line in listed}
    uids = [int(uid) for uid in server.uid('search', None, 'ALL')[1][0].split()]
    if len(uids) != len(files) or int(exists[0]) != len(files):
        problems.append('%d messages, %d files' % (len(uids), len(files)))
    count = 0
    for number, uid in enumerate(uids, 1):
        base = bases[uid]
        name, found, hard = called[base], [], []
        try:
            # What a file's name says of its size is told where it may be true.
            sized = not name.startswith('wrong ')
            count += judge(server, number, wire(files[base]), sized, found.append, hard.append)
        except (RecursionError, KeyError, IndexError, TypeError, AttributeError, ValueError) as fault:
            found.append('%s: %s' % (type(fault).__name__, fault))
        problems.extend('%s: %s' % (name, problem) for problem in hard)
        if name not in DIFFERS:
            problems.extend('%s: %s' % (name, problem) for problem in found)
        elif not found:
            problems.append('%s: agrees now, though: %s' % (name, DIFFERS[name]))
    server.logout()
    print(count, 'sections agree')
    print(*problems, sep='\n')
    sys.exit(1 if problems else 0)


main()
