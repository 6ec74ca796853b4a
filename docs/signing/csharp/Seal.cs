// Seals a body as PayKun does: AES-256-CBC, then HMAC-SHA-256. .NET alone: no package.
//
//   COUNTERSIGN_SECRET=... dotnet run BODY_FILE
//
// Prints the sealed text. Seal first, then sign: the signature is over the sealed body.
using System;
using System.IO;
using System.Security.Cryptography;
using System.Text;

public static class Seal
{
    static string SealBody(byte[] secret, byte[] body)
    {
        if (secret.Length != 32) throw new ArgumentException("the secret must have 32 bytes");
        // A PHP string, s:BYTES:"TEXT";. The length is in bytes; that of a string is not.
        var plain = new MemoryStream();
        var start = Encoding.UTF8.GetBytes("s:" + body.Length + ":\"");
        plain.Write(start, 0, start.Length);
        plain.Write(body, 0, body.Length);
        plain.Write(Encoding.UTF8.GetBytes("\";"), 0, 2);

        string iv, value, mac;
        using (var aes = Aes.Create())
        {
            aes.Mode = CipherMode.CBC;
            aes.Padding = PaddingMode.PKCS7;
            // The secret's 32 characters are the key, as they are: neither hexadecimal nor base64.
            aes.Key = secret;
            aes.GenerateIV(); // new for every body
            iv = Convert.ToBase64String(aes.IV);
            using (var encryptor = aes.CreateEncryptor())
            {
                var bytes = plain.ToArray();
                bytes = encryptor.TransformFinalBlock(bytes, 0, bytes.Length);
                value = Convert.ToBase64String(bytes);
            }
        }
        using (var hmac = new HMACSHA256(secret))
        {
            // Over the two base64 texts, not over the bytes that they stand for; in hexadecimal.
            var digest = hmac.ComputeHash(Encoding.UTF8.GetBytes(iv + value));
            mac = BitConverter.ToString(digest).Replace("-", "").ToLowerInvariant();
        }
        var box = "{\"iv\":\"" + iv + "\",\"value\":\"" + value + "\",\"mac\":\"" + mac + "\"}";
        return Convert.ToBase64String(Encoding.UTF8.GetBytes(box));
    }

    public static int Main(string[] args)
    {
        var secret = Environment.GetEnvironmentVariable("COUNTERSIGN_SECRET");
        if (args.Length != 1 || secret == null)
        {
            Console.Error.WriteLine("usage: COUNTERSIGN_SECRET=... dotnet run BODY_FILE");
            return 2;
        }
        Console.Write(SealBody(Encoding.UTF8.GetBytes(secret), File.ReadAllBytes(args[0])));
        return 0;
    }
}
