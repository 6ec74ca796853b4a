import java.io.ByteArrayOutputStream;
import java.math.BigInteger;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.SecureRandom;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.Mac;
import javax.crypto.spec.IvParameterSpec;
import javax.crypto.spec.SecretKeySpec;

/**
 * Seals a body as PayKun does: AES-256-CBC, then HMAC-SHA-256. Java 11 or newer alone: no library.
 *
 * <pre>COUNTERSIGN_SECRET=... java Seal.java BODY_FILE</pre>
 *
 * Prints the sealed text. Seal first, then sign: the signature is over the sealed body.
 */
public class Seal {
    static String seal(byte[] secret, byte[] body) throws Exception {
        if (secret.length != 32) {
            throw new IllegalArgumentException("the secret must have 32 bytes");
        }
        byte[] random = new byte[16]; // new for every body
        new SecureRandom().nextBytes(random);
        // The secret's 32 characters are the key, as they are: neither hexadecimal nor Base64.
        Cipher cipher = Cipher.getInstance("AES/CBC/PKCS5Padding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(secret, "AES"),
                new IvParameterSpec(random));
        // A PHP string, s:BYTES:"TEXT";. The length is in bytes; String.length() is not.
        ByteArrayOutputStream plain = new ByteArrayOutputStream();
        plain.write(utf8("s:" + body.length + ":\""));
        plain.write(body);
        plain.write(utf8("\";"));
        Base64.Encoder base64 = Base64.getEncoder();
        String iv = base64.encodeToString(random);
        String value = base64.encodeToString(cipher.doFinal(plain.toByteArray()));
        // Over the two Base64 texts, not over the bytes that they stand for; itself in hexadecimal.
        Mac hmac = Mac.getInstance("HmacSHA256");
        hmac.init(new SecretKeySpec(secret, "HmacSHA256"));
        String mac = String.format("%064x", new BigInteger(1, hmac.doFinal(utf8(iv + value))));
        String box = "{\"iv\":\"" + iv + "\",\"value\":\"" + value + "\",\"mac\":\"" + mac + "\"}";
        return base64.encodeToString(utf8(box));
    }

    static byte[] utf8(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    public static void main(String[] args) throws Exception {
        String secret = System.getenv("COUNTERSIGN_SECRET");
        if (args.length != 1 || secret == null) {
            System.err.println("usage: COUNTERSIGN_SECRET=... java Seal.java BODY_FILE");
            System.exit(2);
        }
        System.out.print(seal(utf8(secret), Files.readAllBytes(Path.of(args[0]))));
    }
}
