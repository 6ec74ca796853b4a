import java.math.BigInteger;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.SecureRandom;
import java.time.Instant;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;

/**
 * Signs a request and sends it, with Java 11 or newer alone: no library.
 *
 * <pre>COUNTERSIGN_SECRET=... java Send.java URL KEY_ID BODY_FILE SCHEME</pre>
 *
 * SCHEME is kwikpaisa or countersign-v1. BODY_FILE is sent by POST; "-" sends a GET without a body.
 * The answer goes to standard output, its status to standard error.
 *
 * Where answers are signed, COUNTERSIGN_ANSWER_SECRET says by which secret: the same again, or the
 * second one that kwikpaisa has for answers. What the gate did not sign then goes to standard error.
 */
public class Send {
    /** The headers that make a request signed. */
    static Map<String, String> sign(String scheme, byte[] secret, String keyId, String method,
            String host, String target, String contentType, byte[] body) throws Exception {
        // Seconds: ten digits. System.currentTimeMillis() is refused.
        String timestamp = String.valueOf(Instant.now().getEpochSecond());
        Map<String, String> headers = new LinkedHashMap<>();
        headers.put("X-API-KEY", keyId);
        headers.put("X-TIMESTAMP", timestamp);
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        if (scheme.equals("kwikpaisa")) {
            mac.update(body);
            mac.update(utf8(timestamp));
        } else if (scheme.equals("countersign-v1")) {
            byte[] random = new byte[16];
            new SecureRandom().nextBytes(random);
            String nonce = hex(random);
            headers.put("X-NONCE", nonce);
            String digest = hex(MessageDigest.getInstance("SHA-256").digest(body));
            mac.update(utf8(String.join("\n", "countersign-v1", keyId, timestamp, nonce,
                    method, host, target, contentType, digest)));
        } else {
            throw new IllegalArgumentException("no such scheme: " + scheme);
        }
        // Hexadecimal, 64 digits; Base64 is refused.
        headers.put("X-SIGNATURE", hex(mac.doFinal()));
        return headers;
    }

    /** Whether the gate signed this answer, and to this request. */
    static boolean isGenuine(String scheme, byte[] secret, Map<String, String> request, String host,
            String target, HttpResponse<byte[]> answer) throws Exception {
        String timestamp = answer.headers().firstValue("X-TIMESTAMP").orElse("");
        Mac mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(secret, "HmacSHA256"));
        if (scheme.equals("kwikpaisa")) {
            mac.update(answer.body());
            mac.update(utf8(timestamp));
        } else {
            String status = String.valueOf(answer.statusCode());
            String contentType = answer.headers().firstValue("Content-Type").orElse("");
            String digest = hex(MessageDigest.getInstance("SHA-256").digest(answer.body()));
            mac.update(utf8(String.join("\n", "countersign-v1-response", request.get("X-API-KEY"),
                    timestamp, request.get("X-NONCE"), status, host, target, contentType, digest)));
        }
        String signature = answer.headers().firstValue("X-SIGNATURE").orElse("");
        // In constant time: equals() tells by its time how much of a signature is right.
        if (!MessageDigest.isEqual(utf8(hex(mac.doFinal())), utf8(signature))) {
            return false;
        }
        // kwikpaisa does not say which request it answers. So it must be new, and its time ten
        // digits, as otherwise digits could move from the body; that it is about your order is
        // yours to check.
        return !scheme.equals("kwikpaisa") || timestamp.matches("[0-9]{10}")
                && Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) <= 300;
    }

    /** The header Host, and path and query, both exactly as they are sent. */
    static String[] hostAndTarget(String url) {
        // Visible ASCII stays, every other byte becomes %XX.
        StringBuilder plain = new StringBuilder();
        for (byte b : utf8(url.split("#")[0])) {
            plain.append(b > 0x20 && b < 0x7f ? String.valueOf((char) b)
                    : String.format("%%%02X", b));
        }
        URI uri = URI.create(plain.toString());
        String path = uri.getRawPath().isEmpty() ? "/" : uri.getRawPath();
        String query = uri.getRawQuery() == null ? "" : "?" + uri.getRawQuery();
        // Without :443, which no client sends, but with any other port.
        String host = uri.getRawAuthority().toLowerCase(Locale.ROOT).replaceFirst(":443$", "");
        return new String[] {host, path + query};
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    static String hex(byte[] bytes) {
        return String.format("%0" + bytes.length * 2 + "x", new BigInteger(1, bytes));
    }

    public static void main(String[] args) throws Exception {
        // The secret is used as it is: no decoding from hexadecimal or Base64, no line break at its
        // end.
        String secret = System.getenv("COUNTERSIGN_SECRET");
        if (args.length != 4 || secret == null || secret.isEmpty()) {
            System.err.println(
                    "usage: COUNTERSIGN_SECRET=... java Send.java URL KEY_ID BODY_FILE SCHEME");
            System.exit(2);
        }
        String keyId = args[1];
        boolean get = args[2].equals("-");
        String method = get ? "GET" : "POST";
        String contentType = get ? "" : "application/json";
        // Read once, as bytes. These bytes are signed, and these are sent: an object that is mapped
        // to JSON a second time may come out in another order.
        byte[] body = get ? new byte[0] : Files.readAllBytes(Path.of(args[2]));

        String[] address = hostAndTarget(args[0]);
        String host = address[0];
        String target = address[1];
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create("https://" + host + target));
        Map<String, String> headers =
                sign(args[3], utf8(secret), keyId, method, host, target, contentType, body);
        headers.forEach(request::header);
        if (get) {
            request.GET();
        } else {
            request.header("Content-Type", contentType).POST(BodyPublishers.ofByteArray(body));
        }
        HttpResponse<byte[]> answer =
                HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofByteArray());
        System.err.println(answer.statusCode());
        String answerSecret = System.getenv().getOrDefault("COUNTERSIGN_ANSWER_SECRET", "");
        if (!answerSecret.isEmpty()
                && !isGenuine(args[3], utf8(answerSecret), headers, host, target, answer)) {
            System.err.println("not signed by the gate:");
            System.err.write(answer.body());
            System.exit(1);
        }
        System.out.write(answer.body());
        System.out.flush();
        System.exit(answer.statusCode() < 300 ? 0 : 1);
    }
}
